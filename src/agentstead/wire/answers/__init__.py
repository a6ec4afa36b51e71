"""What routes answer, for the description of the API: one shape per object of the wire.

Promises: an answer of ours has these fields and no other (the conformance tests hold whole runs
against them). Nothing is built from these shapes at run time.
"""
