"""The hands' foreman: one file per step that does something."""
