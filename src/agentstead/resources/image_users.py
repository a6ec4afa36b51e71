"""Who needs an image: sessions that may go on, and environments that name it."""

from agentstead.sandbox.images.image import Image
from agentstead.store.pool import Database

SESSIONS = """
    select id from sessions
    where environment #>> '{agentstead,image}' = %s and archived_at is null and status <> 'terminated'
    order by id
"""
ENVIRONMENTS = """
    select id from environments
    where agentstead ->> 'image' = any(%s) and archived_at is null
    order by id
"""


async def users(database: Database, image: Image) -> list[str]:
    """Their ids, of every workspace."""
    sessions = await database.fetch(SESSIONS, (image.id,))
    names = [image.id, f"sha256:{image.id}", image.name]
    environments = await database.fetch(ENVIRONMENTS, (names,))
    return [str(row["id"]) for row in (*environments, *sessions)]
