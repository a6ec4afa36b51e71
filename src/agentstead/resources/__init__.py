"""The nouns: one file each, with its operations, SQL and routes."""
