"""Lists in pages."""

from tests.conformance.requirements.requirement import OWN, SDK, Requirement

REQUIREMENTS = {
    "newest-first": Requirement(
        "wire §1.8", "Agents come newest first, without archived ones unless asked for.", OWN
    ),
    "last-page": Requirement(
        "wire §1.8, traps 22, 23", "The last page says null; automatic paging ends.", SDK
    ),
    "both-ways": Requirement(
        "wire §1.8, trap 24", "Sessions page forwards and backwards, in either order."
    ),
    "bound": Requirement(
        "wire §1.8", "A cursor belongs to its list, order and filter by time: otherwise 400."
    ),
    "malformed": Requirement("wire §1.8", "A malformed cursor is a 400.", OWN),
    "limits": Requirement("wire §1.8", "A limit below 1 or above the maximum is a 400.", OWN),
}
