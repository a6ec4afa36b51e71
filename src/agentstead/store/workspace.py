"""The workspace that exists from the first migration on."""

DEFAULT_WORKSPACE = "wrkspc_01000000000000000default"
