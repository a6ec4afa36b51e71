"""The official SDKs."""

from tests.conformance.requirements.requirement import SDK, Requirement

REQUIREMENTS = {
    "methods": Requirement(
        "wire §15", "Every method of the installed SDK has a route, or a reason why not.", SDK
    ),
    "parameters": Requirement(
        "wire §15", "Every field it may send is taken, or listed with a reason.", SDK
    ),
    "answers": Requirement(
        "wire §15",
        "Every field it knows is answered, none it does not know, or listed with a reason.",
        SDK,
    ),
    "versions": Requirement(
        "wire §1.1, §1.2",
        "The same session runs with older Python SDKs and the TypeScript one.",
        SDK,
    ),
    "script": Requirement(
        "wire §18, steps 1 to 8, 11 and 12",
        "The conformance script passes with the installed Python SDK, two older ones and the TypeScript one (which does not drive its runner).",
        SDK,
    ),
}
