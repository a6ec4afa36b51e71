"""The limits of a sandbox whose container an engine holds to them: here they are only looked at."""

from pathlib import Path

from agentstead.sandbox.supervisor.limits import Control

GROUPS = Path("/sys/fs/cgroup")


class EngineControl(Control):
    """Memory, processes and processors are the engine's to limit."""

    def left_to_runner(self) -> dict[str, int]:
        """Nothing: a limit of the agent's user would count every sandbox of the machine together."""
        return {"processes_max": 0, "memory_bytes": 0}

    def memory(self, pid: int) -> int:  # noqa: ARG002
        """Not ours to watch."""
        return 0

    def freeze(self) -> bool:
        """We would stand still with it."""
        return False

    def remove(self) -> None:
        """The container's groups go with the container."""


def engine_control(limits: dict[str, int], *, shared: bool) -> Control:
    """What can be seen of the container's limits; `shared`: the agent runs in this very container."""
    memory_bytes, processes_max = limits["memory_bytes"], limits["processes_max"]
    if not shared:
        return EngineControl("engine", memory_bytes, processes_max)
    if (GROUPS / "memory.events").exists():
        groups = dict.fromkeys(("memory", "pids"), GROUPS)
        return EngineControl("cgroup2", memory_bytes, processes_max, groups)
    folders = {name: GROUPS / name for name in ("memory", "pids")}
    groups = {name: folder for name, folder in folders.items() if folder.is_dir()}
    return EngineControl("cgroup1" if groups else "engine", memory_bytes, processes_max, groups)
