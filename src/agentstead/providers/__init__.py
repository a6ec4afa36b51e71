"""Models: one leaf per provider, loaded only when used."""

PROVIDERS = {
    "anthropic": "agentstead.providers.anthropic:Anthropic",
    "openai_compatible": "agentstead.providers.openai_compatible:OpenAICompatible",
    "scripted": "agentstead.providers.scripted:Scripted",
}
"""Provider name → where its class is. More come from the entry points of `ENTRY_POINTS`."""

ENTRY_POINTS = "agentstead.model_providers"
"""Entry point group of providers by others: name → class with the methods of `ProviderKind`."""
