"""Chaos: a platform of its own under seeded faults, judged from outside.

`agentstead chaos run` starts servers, workers and a database as real processes, lets sessions do jobs
whose every tool call leaves one mark outside of the platform, kills, freezes and cuts what it finds,
and then compares marks, sessions and what the model upstream was sent. It imports nothing of the
platform but its clock and its errors: what it knows, it knows by HTTP, files and signals.
"""
