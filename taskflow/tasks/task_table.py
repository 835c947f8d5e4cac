"""The tasks that a registry knows."""

from taskflow.tasks.task_entry import TaskEntry


class TaskTable:
    """Tasks by queue and name. Thread-safe once modules are imported."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], TaskEntry] = {}
        self.any_durable = False
        """Whether one of them may wait and go on."""

    def add(self, entry: TaskEntry) -> None:
        """Know a task, by its name and those it had before."""
        self.any_durable = self.any_durable or entry.durable is not None
        for name in entry.names:
            self._tasks[entry.queue, name] = entry

    def get(self, queue: str, name: str) -> TaskEntry | None:
        """A task of a queue."""
        return self._tasks.get((queue, name))

    def entries(self) -> list[TaskEntry]:
        """All tasks, once for each queue that they are on."""
        return list({(one.queue, one.name): one for one in self._tasks.values()}.values())

    def names(self) -> list[str]:
        """The tasks there are, sorted."""
        return sorted({entry.name for entry in self._tasks.values()})

    def find_task(self, name: str) -> TaskEntry | None:
        """A task by its name, on any of its queues."""
        return next((entry for (_, known), entry in self._tasks.items() if known == name), None)

    def queues(self, name: str) -> list[str]:
        """The queues of a task, the usual one first."""
        return [queue for queue, known in self._tasks if known == name]
