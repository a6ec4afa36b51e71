"""What a session shows to an MCP server: asked by workers, each time they connect.

Promises: the first of the session's vaults with a live credential for the server wins; a credential
that was rotated, archived or deleted meanwhile counts from the next question on; every secret that is
handed out is masked from then on in what the session's log keeps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentstead.log.log import Lease
from agentstead.resources.vaults.credentials import opened
from agentstead.resources.vaults.kept import normalised
from agentstead.resources.vaults.oauth import Oauth
from agentstead.store.table import Row, readable

Headers = Mapping[str, str]
HEADER = "authorization"
SCHEME = "Bearer "

FIND = """
    select c.* from sessions s
    cross join lateral json_array_elements_text(s.vault_ids) with ordinality as v(id, place)
    join vault_credentials c on c.vault_id = v.id and c.workspace_id = s.workspace_id
    where s.id = %s and c.key = %s and c.kind <> 'environment_variable' and c.archived_at is null
    order by v.place limit 1
"""


@dataclass(frozen=True, slots=True)
class VaultTokens:
    """Bearer tokens from vaults (`tools.mcp.servers.Credentials`)."""

    oauth: Oauth
    mask: Callable[[str, str], None]
    """Takes the session's id and every secret that is handed out to it."""

    async def headers(self, lease: Lease, url: str, refused: Headers | None = None) -> Headers:
        """The headers for a server; empty: no vault of the session has anything for it.

        `refused`: those that it has just refused; others, or none when there are no others.
        """
        row = await self._find(lease, url)
        if row is None:
            return {}
        old = None if refused is None else refused.get(HEADER, "").removeprefix(SCHEME)
        token = await self._token(row, old)
        if token is None:
            return {}
        self.mask(lease.session_id, token)
        return {HEADER: SCHEME + token}

    async def _token(self, row: Row, refused: str | None) -> str | None:
        if row["kind"] == "static_bearer":
            token = opened(self.oauth.seal, row, "token")
            return None if token == refused else token
        if refused is None:
            return await self.oauth.fresh(row)
        return (await self.oauth.refresh(row, refused)).token

    async def _find(self, lease: Lease, url: str) -> Row | None:
        row = await self.oauth.database.fetch_one(FIND, (lease.session_id, normalised(url)))
        return None if row is None else readable(row)
