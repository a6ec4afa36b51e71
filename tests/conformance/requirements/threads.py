"""Threads."""

from tests.conformance.requirements.requirement import SDK, Requirement

REQUIREMENTS = {
    "primary": Requirement(
        "wire §9.3, trap 21",
        "The primary thread is listed and read from the start, without usage until it ran.",
        SDK,
    ),
    "primary-stays": Requirement("wire §9.4", "The primary thread cannot be archived."),
    "filter": Requirement(
        "wire §9.4", "A list of threads can be filtered by status, and its pages are full."
    ),
    "log": Requirement("wire §9.4, trap 33", "A thread's log can be listed and followed.", SDK),
    "unknown": Requirement("wire §9.4", "An unknown thread is a 404."),
    "children": Requirement(
        "wire §9.5",
        "A coordinator starts threads of other agents.",
        gap="Comes with threads for several agents.",
    ),
}
