"""What a check raises."""


class Violation(AssertionError):
    """A promise of the platform was broken; ends the run."""
