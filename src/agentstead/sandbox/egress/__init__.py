"""The one way out of a sandbox: a proxy process of its own, outside, that decides host by host."""
