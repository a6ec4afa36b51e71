"""Where tools run: one isolated place per session, reached by call id."""
