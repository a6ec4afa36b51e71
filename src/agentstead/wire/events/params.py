"""The seven events a client may send, each with its own rules.

Promises: what passes is well-formed; whether it is legal now depends on the session and is decided
in `resources/admission.py`.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from agentstead.wire.content import MessageBlock, ResultBlock, SaidBlock, Words
from agentstead.wire.shape import Id, OneOf, Shape, Text

BLOCKS_MAX = 1000
RUBRIC_MAX = 262_144
ITERATIONS_MAX = 20
EVENTS_MAX = 100
INITIAL_EVENTS_MAX = 50


class UserMessage(Shape):
    """Something said to the agent."""

    type: Literal["user.message"]
    content: Annotated[list[MessageBlock], Field(min_length=1, max_length=BLOCKS_MAX)]


class UserInterrupt(Shape):
    """Stop what is being done."""

    type: Literal["user.interrupt"]
    session_thread_id: Id | None = None


class UserToolConfirmation(Shape):
    """The answer to an `ask`."""

    type: Literal["user.tool_confirmation"]
    tool_use_id: Id
    result: Literal["allow", "deny"]
    deny_message: Annotated[Text, StringConstraints(max_length=100_000)] | None = None
    session_thread_id: Id | None = None
    """Ignored: the call's id says where it belongs."""

    @field_validator("deny_message")
    @classmethod
    def only_with_deny(cls, message: str | None, info: ValidationInfo) -> str | None:
        """A reason belongs to a denial."""
        if message is not None and info.data.get("result") != "deny":
            raise ValueError('Only allowed when result is "deny"')
        return message


class UserCustomToolResult(Shape):
    """The result of a tool that the client runs."""

    type: Literal["user.custom_tool_result"]
    custom_tool_use_id: Id
    content: Annotated[list[ResultBlock], Field(max_length=BLOCKS_MAX)] | None = None
    is_error: bool | None = None
    session_thread_id: Id | None = None
    """Ignored, as above."""


class UserToolResult(Shape):
    """The result of a toolset's tool that a self-hosted worker ran."""

    type: Literal["user.tool_result"]
    tool_use_id: Id
    content: Annotated[list[ResultBlock], Field(max_length=BLOCKS_MAX)] | None = None
    is_error: bool | None = None
    session_thread_id: Id | None = None
    """Ignored, as above."""


class TextRubric(Shape):
    """How to grade, in words."""

    type: Literal["text"]
    content: Annotated[Words, StringConstraints(max_length=RUBRIC_MAX)]


class FileRubric(Shape):
    """How to grade, in a file."""

    type: Literal["file"]
    file_id: Id


class UserDefineOutcome(Shape):
    """A goal with a measure."""

    type: Literal["user.define_outcome"]
    description: Words
    rubric: Annotated[TextRubric | FileRubric, OneOf()]
    max_iterations: Annotated[int, Field(ge=1, le=ITERATIONS_MAX)] | None = None


class SystemMessage(Shape):
    """Privileged context for this turn and all later ones."""

    type: Literal["system.message"]
    content: Annotated[list[SaidBlock], Field(min_length=1, max_length=BLOCKS_MAX)]


Param = (
    UserMessage
    | UserInterrupt
    | UserToolConfirmation
    | UserCustomToolResult
    | UserToolResult
    | UserDefineOutcome
    | SystemMessage
)

AnyParam = Annotated[Param, OneOf()]


class Send(Shape):
    """The body of a send: all of it is accepted, or nothing."""

    events: Annotated[list[AnyParam], Field(min_length=1, max_length=EVENTS_MAX)]
