"""Budgets above sessions: what a workspace's sessions, or one agent's, may use together.

Promises: whatever runs at the same time, what is spent and what is reserved never exceed a limit
together; sessions that stopped for want of room go on when there is some.
"""
