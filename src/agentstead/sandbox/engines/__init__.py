"""Sandboxes in containers that somebody else's engine runs: Docker, Podman, Kubernetes."""
