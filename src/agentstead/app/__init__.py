"""The composition root: settings become rooms, and rooms one process with a role."""
