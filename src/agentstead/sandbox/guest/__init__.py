"""What runs inside of an engine's containers: the same supervisor and runner as everywhere, and a relay."""
