"""The runner in C: its sources, what was compiled from them, and which of the two runners is taken."""
