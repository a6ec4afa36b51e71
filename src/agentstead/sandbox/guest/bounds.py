"""The limits of a sandbox whose container an engine holds to them: here they are only looked at."""

from pathlib import Path

from agentstead.sandbox.supervisor.limits import Control

GROUPS = Path("/sys/fs/cgroup")


class EngineControl(Control):
    """Memory and processors are the engine's to limit, and where it can, processes."""

    def left_to_runner(self) -> dict[str, int]:
        """Processes, where the agent has a user of its own among all on the machine."""
        return {"processes_max": self.processes_max, "memory_bytes": 0}

    def tasks(self, pid: int) -> int:
        """None to be seen where the agent has a container of its own."""
        return super().tasks(pid) if pid else 0

    def memory(self, pid: int) -> int:  # noqa: ARG002
        """Not ours to watch."""
        return 0

    def freeze(self) -> bool:
        """We would stand still with it."""
        return False

    def remove(self) -> None:
        """The container's groups go with the container."""


class SharedControl(EngineControl):
    """The agent runs in this very container, whose processes the engine limits."""

    def left_to_runner(self) -> dict[str, int]:
        """Nothing: a limit of uid 1000 would count the sandboxes of the whole machine together."""
        return {"processes_max": 0, "memory_bytes": 0}


def engine_control(limits: dict[str, int], *, shared: bool) -> Control:
    """What can be seen of the container's limits; `shared`: the agent runs in this very container."""
    memory_bytes, processes_max = limits["memory_bytes"], limits["processes_max"]
    if not shared:
        return EngineControl("engine", memory_bytes, processes_max)
    if (GROUPS / "memory.events").exists():
        groups = dict.fromkeys(("memory", "pids"), GROUPS)
        return SharedControl("cgroup2", memory_bytes, processes_max, groups)
    folders = {name: GROUPS / name for name in ("memory", "pids")}
    groups = {name: folder for name, folder in folders.items() if folder.is_dir()}
    return SharedControl("cgroup1" if groups else "engine", memory_bytes, processes_max, groups)
