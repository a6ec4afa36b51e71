"""Event names against the official SDK's types."""

from typing import get_args

from anthropic.types.beta.beta_managed_agents_delta_type import BetaManagedAgentsDeltaType
from anthropic.types.beta.sessions.beta_managed_agents_session_event_type import (
    BetaManagedAgentsSessionEventType,
)

from agentstead.wire.events.names import CLIENT, DELETED, PERSISTED, PREVIEWED, SETTLED_ON_RECEIPT


# wire §7.11: the filter's values.
def test_the_types_filter_takes_what_the_sdk_knows() -> None:
    assert frozenset(get_args(BetaManagedAgentsSessionEventType)) == PERSISTED


def test_previews_are_those_of_the_sdk() -> None:
    assert frozenset(get_args(BetaManagedAgentsDeltaType)) == PREVIEWED


def test_a_deleted_session_has_no_list() -> None:
    assert DELETED not in PERSISTED
    assert SETTLED_ON_RECEIPT < set(CLIENT) < PERSISTED
