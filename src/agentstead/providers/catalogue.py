"""Model names → providers, by configuration; and the list of what there is.

Rules, first match wins: an entry of `settings.models`; `scripted-*` is scripted; `claude-*` is
Anthropic's once a key or a gateway is set; every other name goes to `settings.model_default`; else
the name is refused with the list of what there is. The name is always echoed as it was given.
"""

import asyncio
import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from agentstead.clock import Clock, SystemClock, rfc3339
from agentstead.errors import Invalid, Misconfigured, NotFound
from agentstead.providers import ENTRY_POINTS, PROVIDERS
from agentstead.providers.prices import Price, Prices
from agentstead.providers.prices import load as load_prices
from agentstead.providers.provider import Capabilities, Provider, ProviderKind
from agentstead.settings import Settings

EPOCH = "1970-01-01T00:00:00Z"
"""What the wire wants where the day of release is not known."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model name resolved to who answers for it."""

    name: str
    """As the client gave it."""
    provider: Provider
    upstream: str
    """The name the provider knows it by."""
    capabilities: Capabilities
    price: Price | None = None
    """None: it has no list price."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as `GET /v1/models` shows it."""

    name: str
    capabilities: Capabilities
    today: str = ""
    """`YYYY-MM-DD`: an announced day of retirement that is past has come true."""

    @property
    def lifecycle(self) -> str:
        """active | deprecated | retired"""
        able = self.capabilities
        return "retired" if able.retires and able.retires <= self.today else able.lifecycle

    def wire(self) -> dict[str, Any]:
        """Every field of the official SDK's type."""
        able = self.capabilities
        return {
            "type": "model",
            "id": self.name,
            "display_name": able.display_name,
            "created_at": f"{able.released}T00:00:00Z" if able.released else EPOCH,
            "lifecycle": self.lifecycle,
            "deprecated_at": None,
            "retires_at": f"{able.retires}T00:00:00Z" if able.retires else None,
            "line": able.line,
            "max_input_tokens": able.context_window,
            "max_tokens": able.max_output_tokens,
            "capabilities": wire_capabilities(able),
            "allowed_fallback_models": None,
        }


def wire_capabilities(able: Capabilities) -> dict[str, Any]:
    """What a model can do on this platform; features of the hosted API alone are not supported."""

    def yes(supported: bool) -> dict[str, bool]:
        return {"supported": supported}

    no = yes(supported=False)
    levels = ("low", "medium", "high", "xhigh", "max")
    return {
        "batch": no,
        "citations": no,
        "compaction": None,
        "code_execution": no,
        "image_input": yes(able.images),
        "pdf_input": yes(able.documents),
        "structured_outputs": no,
        "context_management": {
            "supported": False,
            "clear_thinking_20251015": None,
            "clear_tool_uses_20250919": None,
            "compact_20260112": None,
        },
        "effort": yes(bool(able.efforts)) | {each: yes(each in able.efforts) for each in levels},
        "server_tools": {"supported": False, "code_execution": no, "web_search": no},
        "thinking": {
            "supported": able.thinking in {"adaptive", "always"},
            "types": {
                "adaptive": yes(able.thinking in {"adaptive", "always"}),
                "between_tools": no,
                "disabled": yes(able.thinking != "always"),
                "enabled": no,
            },
        },
    }


class Catalogue:
    """All models of this installation. Providers are made when first used."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
    ) -> None:
        """`providers` replaces or adds providers that are made already, by name."""
        self.settings = settings
        self.clock = clock or SystemClock()
        self.made: dict[str, Provider] = dict(providers or {})
        self.prices = load_prices(settings.prices_file) if settings.prices_file else Prices()
        self.places = registry() | dict.fromkeys(self.made, "")
        for name, target in settings.models.items():
            self._check(f"AGENTSTEAD_MODELS: {name}", target.partition(":")[0])
        if settings.model_default is not None and self._default("any-name") is None:
            raise Misconfigured(
                f"AGENTSTEAD_MODEL_DEFAULT: {settings.model_default!r} is neither a model nor a "
                f"provider here. {self._what_there_is()}"
            )

        if settings.judge_model is not None:
            self._check_judge(settings.judge_model)

    def _check_judge(self, name: str) -> None:
        """Refuse a judge that is no model here."""
        try:
            self.resolve(name)
        except Invalid as refusal:
            raise Misconfigured(f"AGENTSTEAD_JUDGE_MODEL: {refusal.message}") from refusal

    def _check(self, where: str, provider: str) -> None:
        """Refuse a provider that is not there or lacks its settings."""
        if provider not in self.places:
            known = ", ".join(sorted(self.places))
            raise Misconfigured(f"{where}: there is no provider {provider!r}. There are: {known}.")
        if missing := self._missing(provider):
            raise Misconfigured(f"{where}: provider {provider!r} also needs {missing}.")

    def _kind(self, provider: str) -> type[ProviderKind]:
        """The class of a provider; importing it imports no SDK."""
        module, _, name = self.places[provider].partition(":")
        return cast("type[ProviderKind]", getattr(importlib.import_module(module), name))

    def _missing(self, provider: str) -> str | None:
        """What has to be set before this provider can be used."""
        return None if provider in self.made else self._kind(provider).missing(self.settings)

    def _provider(self, name: str) -> Provider:
        """The provider, made at first use."""
        if name not in self.made:
            self.made[name] = self._kind(name).from_settings(self.settings, self.clock)
        return self.made[name]

    def _target(self, name: str) -> tuple[str, str] | None:
        """Provider and upstream name of a name that something maps, without the default."""
        if name in self.settings.models:
            provider, _, upstream = self.settings.models[name].partition(":")
            return provider, upstream or name
        if name.startswith("scripted-"):
            return "scripted", name
        if name.startswith("claude-") and self._missing("anthropic") is None:
            return "anthropic", name
        return None

    def _default(self, name: str) -> tuple[str, str] | None:
        """What the operator's default makes of any other name."""
        default = self.settings.model_default
        if default is None:
            return None
        if target := self._target(default):
            return target
        provider, _, upstream = default.partition(":")
        if provider not in self.places:
            return None
        self._check("AGENTSTEAD_MODEL_DEFAULT", provider)
        return provider, upstream or name

    def resolve(self, name: str) -> Model:
        """Who answers for this name; raises Invalid with the list of what there is."""
        target = self._target(name) or self._default(name)
        if target is None:
            raise Invalid(
                f"model.id: there is no model {name[:100]!r} here. {self._what_there_is()}"
            )
        provider = self._provider(target[0])
        price = self.prices.of(name, *target)
        return Model(name, provider, target[1], provider.capabilities(target[1]), price)

    def names(self) -> list[str]:
        """Every name that is mapped by itself: configured ones first, the scripted one last."""
        found = dict.fromkeys(self.settings.models)
        usual = [name for name in self.places if name != "scripted" and self.places[name]]
        for provider in (*usual, "scripted"):
            if self._missing(provider) is None and self.places[provider]:
                found |= dict.fromkeys(self._kind(provider).names())
        return list(found)

    def _what_there_is(self) -> str:
        """The list of models and how to add one, for messages."""
        names = self.names()
        shown = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
        ways = [
            'to add one set AGENTSTEAD_MODELS={"its-name": "openai_compatible:name-at-the-server"}',
            "to run every other name set AGENTSTEAD_MODEL_DEFAULT",
        ]
        if missing := self._missing("anthropic"):
            ways.insert(0, f"for claude-* set {missing}")
        return f"There are: {shown}. On the server, {'; '.join(ways)}."

    def list(self) -> list[ModelInfo]:
        """All models that are mapped by themselves."""
        return [self.info(name) for name in self.names()]

    def info(self, name: str) -> ModelInfo:
        """One model; any name that can be run has one. Raises NotFound."""
        try:
            return ModelInfo(name, self.resolve(name).capabilities, rfc3339(self.clock.now())[:10])
        except Invalid as refusal:
            raise NotFound(refusal.message) from refusal

    async def warm(self) -> None:
        """Import the SDKs of the configured providers in threads, for a worker that starts."""
        names = [name for name in self.places if self._missing(name) is None]
        warmers = [getattr(self._provider(name), "warm", None) for name in names]
        await asyncio.gather(*(warmer() for warmer in warmers if warmer is not None))

    async def close(self) -> None:
        """Give back every provider's connections."""
        for provider in self.made.values():
            await provider.close()


def registry() -> dict[str, str]:
    """Provider name → where its class is; installed packages may add some, not replace ours."""
    found = {each.name: each.value for each in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    return found | PROVIDERS
