"""Events of a session: how they are stored and what clients may send."""
