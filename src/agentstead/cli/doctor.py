"""`agentstead doctor`: what works on this machine, what does not, and what to do about it."""


def doctor() -> None:
    """Look whether this machine can do the work."""
