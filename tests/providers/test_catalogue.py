"""Names of models → providers, and the list for `GET /v1/models`."""

from datetime import UTC, datetime
from importlib.metadata import EntryPoint

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import Invalid, Misconfigured, NotFound
from agentstead.providers import PROVIDERS
from agentstead.providers.catalogue import Catalogue, registry
from agentstead.providers.scripted import Scripted
from agentstead.providers.scripted.scenario import Scenario
from agentstead.settings import Settings


def catalogue(**settings: object) -> Catalogue:
    return Catalogue(Settings(**settings), SystemClock())  # type: ignore[arg-type]


def answerer(found: Catalogue, name: str) -> tuple[str, str]:
    model = found.resolve(name)
    assert model.name == name, "the name is echoed as it was given"
    return model.provider.name, model.upstream


def test_the_rules_in_their_order() -> None:
    found = catalogue(
        anthropic_api_key="k",
        openai_base_url="http://local/v1",
        models={
            "fast": "openai_compatible:qwen3",
            "gpt-4o": "openai_compatible",
            "claude-mine": "scripted",
            "with:colon": "openai_compatible:llama3:8b",
        },
        model_default="claude-opus-5",
    )
    assert answerer(found, "fast") == ("openai_compatible", "qwen3")
    assert answerer(found, "gpt-4o") == ("openai_compatible", "gpt-4o")
    assert answerer(found, "with:colon") == ("openai_compatible", "llama3:8b")
    assert answerer(found, "claude-mine") == ("scripted", "claude-mine")
    assert answerer(found, "scripted-demo") == ("scripted", "scripted-demo")
    assert answerer(found, "claude-haiku-4-5") == ("anthropic", "claude-haiku-4-5")
    assert answerer(found, "anything else") == ("anthropic", "claude-opus-5")


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("scripted-demo", ("scripted", "scripted-demo")),
        ("scripted", ("scripted", "claude-opus-5")),
        ("openai_compatible", ("openai_compatible", "claude-opus-5")),
        ("openai_compatible:llama3", ("openai_compatible", "llama3")),
        ("mapped", ("openai_compatible", "qwen3")),
    ],
)
def test_the_default_takes_claude_names_without_a_key(
    default: str, expected: tuple[str, str]
) -> None:
    found = catalogue(
        openai_base_url="http://local/v1",
        models={"mapped": "openai_compatible:qwen3"},
        model_default=default,
    )
    assert answerer(found, "claude-opus-5") == expected


def test_a_gateway_without_a_key_is_enough() -> None:
    assert answerer(catalogue(anthropic_base_url="http://gw"), "claude-x")[0] == "anthropic"


def test_an_unknown_name_is_refused_with_what_there_is() -> None:
    with pytest.raises(Invalid) as caught:
        catalogue(
            openai_base_url="http://local/v1", models={"mine": "openai_compatible:m"}
        ).resolve("claude-opus-5")
    message = caught.value.message
    assert message.startswith("model.id: ")
    for part in ("'claude-opus-5'", "mine", "scripted-demo", "AGENTSTEAD_MODELS"):
        assert part in message
    assert "AGENTSTEAD_ANTHROPIC_API_KEY" in message
    assert "AGENTSTEAD_MODEL_DEFAULT" in message
    assert caught.value.code is None


def test_a_very_long_name_is_not_repeated_whole() -> None:
    with pytest.raises(Invalid) as caught:
        catalogue().resolve("x" * 100_000)
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"models": {"m": "nobody:x"}}, "nobody"),
        ({"models": {"m": "openai_compatible:x"}}, "AGENTSTEAD_OPENAI_BASE_URL"),
        ({"models": {"m": "anthropic"}}, "AGENTSTEAD_ANTHROPIC_API_KEY"),
        ({"model_default": "nobody"}, "AGENTSTEAD_MODEL_DEFAULT"),
        ({"model_default": "claude-opus-5"}, "AGENTSTEAD_ANTHROPIC_API_KEY"),
        ({"model_default": "openai_compatible"}, "AGENTSTEAD_OPENAI_BASE_URL"),
    ],
)
def test_a_faulty_configuration_is_found_at_start(settings: dict[str, object], named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        catalogue(**settings)


def test_the_list_has_what_is_mapped() -> None:
    bare = [info.name for info in catalogue().list()]
    assert bare == ["scripted-demo"]
    full = [
        info.name for info in catalogue(anthropic_api_key="k", models={"mine": "scripted"}).list()
    ]
    assert full[0] == "mine"
    assert full[-1] == "scripted-demo"
    assert "claude-opus-5-5" in full
    assert len(full) == len(set(full))


def test_infos_have_every_field_of_the_official_type() -> None:
    from anthropic.types import ModelInfo
    from anthropic.types.beta import BetaModelInfo

    for info in catalogue(anthropic_api_key="k", model_default="scripted-demo").list():
        wire = info.wire()
        for kind in (ModelInfo, BetaModelInfo):
            parsed = kind.model_validate(wire)
            assert set(kind.model_fields) <= set(wire)
            assert parsed.id == info.name
            abilities = parsed.capabilities
            assert abilities is not None
            assert set(type(abilities).model_fields) <= set(wire["capabilities"])
    haiku = catalogue(anthropic_api_key="k").info("claude-haiku-4-5").wire()
    assert (haiku["max_input_tokens"], haiku["line"]) == (200_000, "haiku")
    assert haiku["capabilities"]["effort"]["supported"] is False
    old = ModelInfo.model_validate(
        catalogue(anthropic_api_key="k").info("claude-sonnet-4-5").wire()
    )
    assert old.lifecycle == "deprecated"
    assert old.retires_at == datetime(2026, 11, 30, tzinfo=UTC)


def test_one_info() -> None:
    found = catalogue(model_default="scripted-demo")
    assert found.info("whatever").wire()["id"] == "whatever"
    assert "not an AI" in found.info("whatever").wire()["display_name"]
    with pytest.raises(NotFound, match="'nothing'"):
        catalogue().info("nothing")


async def test_providers_are_made_once_and_closed() -> None:
    found = catalogue(anthropic_api_key="k", openai_base_url="http://local/v1")
    await found.warm()
    first = found.resolve("claude-opus-5").provider
    assert found.resolve("claude-sonnet-5").provider is first
    assert getattr(first, "client", None) is not None
    await found.close()
    assert getattr(first, "client", 1) is None


def test_a_test_may_bring_its_own_provider() -> None:
    mine = Scripted(Scenario((), "mine"))
    found = Catalogue(Settings(), SystemClock(), providers={"scripted": mine})
    assert found.resolve("scripted-x").provider is mine
    other = Catalogue(Settings(models={"m": "own:x"}), SystemClock(), providers={"own": mine})
    assert other.resolve("m").upstream == "x"
    assert [info.name for info in other.list()] == ["m", "scripted-demo"]


def test_installed_packages_may_add_providers_but_not_replace_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(*, group: str) -> list[EntryPoint]:
        assert group == "agentstead.model_providers"
        place = "agentstead.providers.scripted:Scripted"
        return [EntryPoint("theirs", place, group), EntryPoint("anthropic", place, group)]

    monkeypatch.setattr("importlib.metadata.entry_points", found)
    places = registry()
    assert places["theirs"] == "agentstead.providers.scripted:Scripted"
    assert places["anthropic"] == PROVIDERS["anthropic"]
    assert answerer(catalogue(models={"m": "theirs:x"}), "m") == ("scripted", "x")


def test_the_judge_is_a_model_that_is_there() -> None:
    assert catalogue(judge_model="scripted-demo").settings.judge_model == "scripted-demo"
    with pytest.raises(
        Misconfigured, match=r"^AGENTSTEAD_JUDGE_MODEL: model.id: there is no model"
    ):
        catalogue(judge_model="claude-haiku-5-5")
