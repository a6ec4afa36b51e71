"""Docker, Podman and whoever else speaks the Docker engine's API."""
