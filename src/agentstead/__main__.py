"""`python -m agentstead` is the command line."""

from agentstead.cli.main import main

main()
