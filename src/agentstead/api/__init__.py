"""The door: the only room that knows the web framework."""
