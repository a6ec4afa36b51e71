"""A process of its own that owns one sandbox and its journal; standard library only."""
