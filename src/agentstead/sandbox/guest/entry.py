"""One program for every part inside of a container: `python3 -I -S -B lib.pyz PART …`."""

import sys

PARTS = "keeper | keeper-apart | room | runner FD | relay ID | agent-relay ID"


def main() -> None:
    """Be the part that the first argument names."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part in ("keeper", "keeper-apart"):
        from agentstead.sandbox.guest import first, keeper

        first.be_first(lambda: keeper.keep(apart=part == "keeper-apart"))
    elif part == "room":
        from agentstead.sandbox.guest import first, room

        first.be_first(room.enter, room.left)
    elif part == "runner":
        from agentstead.sandbox.supervisor.runner import __main__ as runner

        del sys.argv[1]
        runner.main()
    elif part == "relay":
        from agentstead.sandbox.guest import relay

        relay.main(sys.argv[2])
    else:
        sys.exit(f"one of: {PARTS}")
