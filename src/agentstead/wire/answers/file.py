"""Files, and skills, which are made of some."""

from typing import Literal

from agentstead.wire.answers.answer import Answer, Time


class FileScope(Answer):
    """What a file belongs to."""

    type: Literal["session"]
    id: str


class File(Answer):
    """What is known of a file."""

    id: str
    type: Literal["file"]
    filename: str
    mime_type: str
    size_bytes: int
    created_at: Time
    downloadable: bool
    expires_at: Time | None = None
    """Absent for clients of the first beta."""
    scope: FileScope | None


class FilePage(Answer):
    """A page of files; older clients get the ends of it, and whether there is more."""

    data: list[File]
    next_page: str | None = None
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None


class SkillSource(Answer):
    """Who made a skill."""

    type: Literal["custom", "anthropic"]


class Skill(Answer):
    """A skill; older clients get two of its fields under other names."""

    id: str
    type: Literal["skill"]
    display_name: str | None = None
    display_title: str | None = None
    latest_version_id: str | None = None
    latest_version: str | None = None
    source: SkillSource | Literal["custom", "anthropic"]
    created_at: Time
    updated_at: Time


class SkillVersion(Answer):
    """A version of a skill."""

    id: str
    type: Literal["skill_version"]
    skill_id: str
    name: str
    description: str
    created_at: Time
    version: str | None = None
    directory: str | None = None


class SkillPage(Answer):
    """A page of skills."""

    data: list[Skill]
    next_page: str | None
    has_more: bool | None = None


class SkillVersionPage(Answer):
    """A page of versions."""

    data: list[SkillVersion]
    next_page: str | None
    has_more: bool | None = None
