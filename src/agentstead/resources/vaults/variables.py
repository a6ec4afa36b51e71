"""Credentials that programs in a sandbox use as environment variables, and never see.

Promises: inside there is a placeholder, of this session only; the first of the session's vaults with a
live credential of a name wins; what was rotated, archived or deleted counts from the next question on;
every secret that is handed out is masked from then on in what the session's log keeps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentstead.addresses import listed
from agentstead.resources.vaults.credentials import opened
from agentstead.resources.vaults.placeholders import placeholder_for
from agentstead.sandbox.desk import Secret, Variable
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.store.table import Row

FIND = """
    select distinct on (c.key) c.id, c.vault_id, c.key, c.auth, c.sealed, c.workspace_id, p.placeholder
    from sessions s
    cross join lateral json_array_elements_text(s.vault_ids) with ordinality as v(id, place)
    join vault_credentials c on c.vault_id = v.id and c.workspace_id = s.workspace_id
    left join placeholders p on p.session_id = s.id and p.name = c.key
    where s.id = %s and c.kind = 'environment_variable' and c.archived_at is null
    order by c.key, v.place
"""
KEEP = """
    insert into placeholders (workspace_id, session_id, name, placeholder) values (%s, %s, %s, %s)
    on conflict (session_id, name) do update set name = excluded.name returning placeholder
"""


@dataclass(frozen=True, slots=True)
class VaultVariables:
    """Variables from vaults (`worker.world.SessionVariables`, `sandbox.desk.Secrets`)."""

    database: Database
    seal: Seal
    mask: Callable[[str, str], None]
    """Takes the session's id and every secret that is opened for it."""

    async def placeholders(self, session_id: str) -> Mapping[str, str]:
        """What a session's sandbox has for its credentials: variable → placeholder."""
        found = {}
        for row in await self.database.fetch(FIND, (session_id,)):
            secret = self._secret(session_id, row)
            placeholder = row["placeholder"]
            if placeholder is None:
                new = (row["workspace_id"], session_id, row["key"], placeholder_for(secret))
                # another worker may be as quick; the first one's is kept
                kept = await self.database.fetch_one(KEEP, new)
                assert kept is not None
                placeholder = kept["placeholder"]
            found[row["key"]] = placeholder
        return found

    async def named(self, session_id: str) -> Sequence[Variable]:
        """A session's credentials, without secrets."""
        return [
            Variable(
                name=row["key"],
                credential_id=row["id"],
                vault_id=row["vault_id"],
                hosts=tuple(row["auth"]["networking"].get("allowed_hosts") or ()),
            )
            for row in await self.database.fetch(FIND, (session_id,))
        ]

    async def for_host(self, session_id: str, host: str) -> Sequence[Secret]:
        """The credentials of a session that are for a host."""
        return [
            Secret(
                name=row["key"],
                placeholder=row["placeholder"],
                secret=self._secret(session_id, row),
                header=row["auth"]["injection_location"]["header"],
                body=row["auth"]["injection_location"]["body"],
            )
            for row in await self.database.fetch(FIND, (session_id,))
            if row["placeholder"] is not None and is_for(row["auth"]["networking"], host)
        ]

    def _secret(self, session_id: str, row: Row) -> str:
        secret = opened(self.seal, row, "secret_value") or ""
        self.mask(session_id, secret)
        return secret


def is_for(networking: Mapping[str, object], host: str) -> bool:
    """Whether a credential is for a host, spelled as it is compared."""
    if networking["type"] == "unrestricted":
        return True
    hosts = networking["allowed_hosts"]
    assert isinstance(hosts, list)
    return listed(hosts, host)
