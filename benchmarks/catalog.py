"""The peers: how each one's worker is started, word for word, and how much it is given to do.

Every worker is one process with ten threads or ten tasks at once, as near as the peer comes to
it, logs warnings only and keeps results only where a workload asks for them. Options that make a
peer faster are set where its documentation or published benchmarks set them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

FULL = 20_000


@dataclass(frozen=True)
class Peer:
    """One line of the table.

    `worker` is the command; `{n}` numbers the copies, `{store}` is the store's address. `many`
    starts `{processes}` of them, where that is not the same command as often; `ten` ten jobs at
    once, where `worker` does not. `jobs` is what (a) drains; fewer for slow peers.
    """

    name: str
    title: str
    module: str
    store: str
    worker: str
    many: str = ""
    ten: str = ""
    jobs: int = FULL
    batches: bool = False
    workloads: str = "abcdegh"
    options: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    address: str = "{store}"

    def commands(self, processes: int = 1) -> list[str]:
        """What to start for so many processes."""
        if processes == 1:
            return [self.worker]
        if self.many:
            return [self.many.replace("{processes}", str(processes))]
        return [self.worker] * processes


def _taskflow(
    name: str, durability: str, workloads: str, module: str = "on_taskflow", **options: str
) -> Peer:
    what = "taskflow's tasks" if module.endswith("tasks") else "taskflow"
    remark = ", not idempotent" if options else ""
    worker = f"taskflow --log-level WARNING worker jobs -c 10 -m benchmarks.peers.{module}"
    worker += " --broker {store}"
    return Peer(
        name=name,
        title=f"{what}, durability={durability}{remark}",
        module=f"benchmarks.peers.{module}",
        store="file",
        worker=worker,
        many=worker + " -p {processes}",
        batches=True,
        workloads=workloads,
        options=options,
        libraries=("taskflow-events", "apsw"),
        address=f"sqlite:///{{store}}?durability={durability}",
    )


_CELERY = (
    "celery -A benchmarks.peers.on_celery worker -l WARNING -n {n}@bench"
    " --without-gossip --without-mingle --without-heartbeat"
)
_HUEY = "huey_consumer benchmarks.peers.on_huey.huey -k thread -w 10 -d 0.001 -n -q"
_TASKIQ = "taskiq worker benchmarks.peers.on_taskiq:broker --max-async-tasks 10 --log-level WARNING"
_RQ = "--worker-class rq.worker.SimpleWorker --url {store} bench"

PEERS = [
    _taskflow("taskflow", "process", "abcdefghi"),
    _taskflow("taskflow-power", "power", "abdg"),
    _taskflow("taskflow-plain", "process", "ae", BENCH_IDEMPOTENT="no"),
    _taskflow("taskflow-tasks", "process", "ijklmn", "on_taskflow_tasks"),
    _taskflow("taskflow-tasks-power", "power", "k", "on_taskflow_tasks"),
    Peer(
        name="celery-threads",
        title="Celery, Redis, threads pool",
        module="benchmarks.peers.on_celery",
        store="redis",
        worker=_CELERY + " -P threads -c 10",
        jobs=5_000,
        batches=True,
        workloads="abcdeghijklm",
        libraries=("celery", "kombu", "redis", "hiredis"),
    ),
    Peer(
        name="celery-prefork",
        title="Celery, Redis, prefork pool of 10",
        module="benchmarks.peers.on_celery",
        store="redis",
        worker=_CELERY + " -P prefork -c 10",
        many=_CELERY + " -P prefork -c {processes}",
        jobs=5_000,
        batches=True,
        libraries=("celery", "kombu", "redis", "hiredis"),
    ),
    Peer(
        name="dramatiq",
        title="Dramatiq, Redis",
        module="benchmarks.peers.on_dramatiq",
        store="redis",
        worker="dramatiq benchmarks.peers.on_dramatiq -p 1 -t 10",
        many="dramatiq benchmarks.peers.on_dramatiq -p {processes} -t 10",
        jobs=10_000,
        workloads="abcdeghijklm",
        libraries=("dramatiq", "redis", "hiredis"),
    ),
    Peer(
        name="huey-redis",
        title="Huey, Redis",
        module="benchmarks.peers.on_huey",
        store="redis",
        worker=_HUEY,
        workloads="abcdeghijklm",
        libraries=("huey", "redis", "hiredis"),
    ),
    Peer(
        name="huey-sqlite",
        title="Huey, SQLite without fsync",
        module="benchmarks.peers.on_huey",
        store="file",
        worker=_HUEY + " -m 0.1",
        workloads="abcdeghijklm",
        libraries=("huey",),
    ),
    Peer(
        name="taskiq",
        title="Taskiq, Redis list",
        module="benchmarks.peers.on_taskiq",
        store="redis",
        worker=_TASKIQ + " --workers 1",
        many=_TASKIQ + " --workers {processes}",
        jobs=10_000,
        batches=True,
        workloads="abcdeghijkl",
        libraries=("taskiq", "taskiq-redis", "redis", "hiredis", "uvloop"),
    ),
    Peer(
        name="rq",
        title="RQ, Redis, SimpleWorker",
        module="benchmarks.peers.on_rq",
        store="redis",
        worker="rq worker --logging_level WARNING " + _RQ,
        ten="rq worker-pool --logging-level WARNING --num-workers 10 " + _RQ,
        jobs=1_000,
        batches=True,
        libraries=("rq", "redis", "hiredis"),
    ),
    Peer(
        name="procrastinate",
        title="Procrastinate, PostgreSQL",
        module="benchmarks.peers.on_procrastinate",
        store="postgres",
        worker="procrastinate -a benchmarks.peers.on_procrastinate.app --log-level warning"
        " worker -c 10",
        jobs=1_000,
        batches=True,
        libraries=("procrastinate", "psycopg"),
    ),
]
BY_NAME = {peer.name: peer for peer in PEERS}
