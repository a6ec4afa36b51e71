"""The truth of a session: the append-only event log, its inbox, leases and followers."""
