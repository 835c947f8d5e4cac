"""The flags of `taskflow worker`, as they were read."""

from pathlib import Path

from msgspec import Struct

from taskflow.worker.bounds import Bounds


class Options(Struct, frozen=True):
    """The flags of `taskflow worker`."""

    queues: tuple[tuple[str, float], ...]
    concurrency: Bounds | None
    async_concurrency: Bounds
    processes: int | None
    strict: bool
    grace: float | None
    burst: bool
    max_tasks: int | None
    max_memory: int | None
    health_port: int | None
    health_host: str
    metrics_port: int | None
    metrics_host: str
    metrics_file: Path | None
    heartbeat_file: Path | None
    reload: bool
    supervised: int | None
    modules: tuple[str, ...]
    address: str | None
