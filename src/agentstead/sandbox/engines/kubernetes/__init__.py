"""Kubernetes: a pod for each session's sandbox."""
