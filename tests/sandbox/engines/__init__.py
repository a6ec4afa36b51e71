"""Tests of sandboxes on engines."""
