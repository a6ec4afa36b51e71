"""What went wrong with the packages of an environment."""

from agentstead.errors import SandboxFault
from agentstead.sandbox.packages.recipe import Step, last_words, without_credentials


class PackagesFault(SandboxFault):
    """The packages of an environment cannot be installed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="packages")


def could_not(step: Step, output: str) -> PackagesFault:
    """An installer failed; its last lines say why."""
    listed = without_credentials(", ".join(step.packages))
    return PackagesFault(f"{step.manager} could not install {listed}:\n{last_words(output)}")
