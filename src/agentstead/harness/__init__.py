"""The mind: a pure function of the log. No clock, no network, no await."""
