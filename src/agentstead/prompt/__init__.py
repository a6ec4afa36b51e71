"""The words for the model: a request from the state. As pure as the harness, and above it."""
