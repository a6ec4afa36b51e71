"""Tools of MCP servers: connections of sessions, through the protocol's official library.

`servers.py` is the port that workers use; everything that needs the library is imported with the
first connection, in a thread.
"""
