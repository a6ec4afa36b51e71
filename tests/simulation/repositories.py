"""The repositories of a false world: each scenario says how often which of them cannot be checked out."""

from agentstead.errors import RepositoryFault
from agentstead.harness.repositories import Repository


def broken_host() -> RepositoryFault:
    return RepositoryFault("The host does not answer.", kind="clone", retryable=True)


def resource(number: int) -> dict:
    """As a session has it."""
    url = f"https://github.com/acme/r{number}"
    return {"id": f"sesrsc_r{number}", "type": "github_repository", "url": url}


class Checkouts:
    """What lies where, and since when."""

    def __init__(self, clock, failing) -> None:
        self.clock = clock
        self.failing = [list(kinds) for kinds in failing]
        """Per repository: the kinds of its next failures."""
        self.placed = {}
        """Session, repository → when it was put in its place."""

    async def of(self, session_id):
        """All that the scenario has; every session has the same."""
        return tuple(
            Repository(
                id=one["id"],
                url=one["url"],
                path=f"/workspace/{one['id']}",
                checkout="its default branch",
                ready=(session_id, one["id"]) in self.placed,
            )
            for one in map(resource, range(len(self.failing)))
        )

    async def check_out(self, session_id, repository_id, limits):
        """Half a second, then it lies there, unless its next failure is due."""
        await self.clock.sleep(0.5)
        kinds = self.failing[int(repository_id.removeprefix("sesrsc_r"))]
        if kinds:
            kind = kinds.pop(0)
            raise RepositoryFault("No.", kind=kind, retryable=kind == "clone")
        self.placed.setdefault((session_id, repository_id), self.clock.now())
