"""The contract: shapes that rooms below the door share; no I/O."""
