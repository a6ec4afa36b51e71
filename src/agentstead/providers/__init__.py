"""Models: one file per provider, loaded only when used."""
