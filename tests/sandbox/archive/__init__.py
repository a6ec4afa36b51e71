"""The archiver."""
