"""The targets, as ratios within one run, and whether they were met."""

from dataclasses import dataclass

from benchmarks.catalog import BY_NAME
from benchmarks.results import Results

OURS = "taskflow"
TASKS = "taskflow-tasks"


@dataclass(frozen=True)
class Verdict:
    """`found` against `wanted`; `more` when higher is better. `against` names the rival.

    `rounds` are the lowest and the highest of what single rounds would have found.
    """

    workload: str
    what: str
    wanted: float
    found: float
    against: str
    more: bool
    rounds: tuple[float, float]

    @property
    def met(self) -> bool:
        return self.found >= self.wanted if self.more else self.found <= self.wanted


class Judge:
    """Compares taskflow's medians with those of its rivals in one run."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self.verdicts: list[Verdict] = []

    def median(self, workload: str, peer: str, metric: str) -> float | None:
        found = self._results.find(workload, peer, metric)
        return None if found is None else found.median

    def best(self, workload: str, metric: str, *, more: bool, store: str = "") -> str:
        """The strongest rival, "" when there is none."""
        known = {
            name: value
            for name in self._results.peers(workload)
            if not name.startswith(OURS)
            and store in ("", BY_NAME[name].store)
            and (value := self.median(workload, name, metric)) is not None
        }
        choose = max if more else min
        return choose(known, key=known.__getitem__) if known else ""

    def ratio(
        self,
        workload: str,
        metric: str,
        rival: str,
        what: str,
        *,
        least: float = 0.0,
        most: float = 0.0,
        theirs: str = "",
        mine: str = OURS,
    ) -> None:
        """taskflow's figure over the rival's, which may be another one (`theirs`)."""
        ours = self.median(workload, mine, metric)
        other = self.median(workload, rival, theirs or metric)
        if ours is None or not other:
            return
        own = self._results.by_round(workload, mine, metric)
        rivals = self._results.by_round(workload, rival, theirs or metric)
        each = [own[number] / rivals[number] for number in own if rivals.get(number)]
        self._add(workload, what, least or most, ours / other, rival, bool(least), each)

    def limit(
        self,
        workload: str,
        metric: str,
        what: str,
        *,
        most: float = 0.0,
        least: float = 0.0,
        mine: str = OURS,
    ) -> None:
        """taskflow's figure on its own."""
        ours = self.median(workload, mine, metric)
        if ours is not None:
            each = list(self._results.by_round(workload, mine, metric).values())
            self._add(workload, what, least or most, ours, "", bool(least), each)

    def growth(self, what: str, most: float) -> None:
        """The cost of the largest backlog over that of the smallest."""
        for cost in [one["microseconds"] for one in self._results.samples if "microseconds" in one]:
            sizes = sorted(cost, key=int)
            found = cost[sizes[-1]] / cost[sizes[0]]
            sizes_named = f"{what}, {int(sizes[-1]):,} over {int(sizes[0]):,}"
            self._add("f", sizes_named, most, found, "", False, [found])

    def _add(
        self,
        workload: str,
        what: str,
        wanted: float,
        found: float,
        rival: str,
        more: bool,
        each: list[float],
    ) -> None:
        rounds = (min(each, default=found), max(each, default=found))
        self.verdicts.append(Verdict(workload, what, wanted, found, rival, more, rounds))


def judge(results: Results) -> list[Verdict]:
    """Every target that this run can decide."""
    court = Judge(results)
    fastest = court.best("a", "rate", more=True)
    court.ratio("a", "rate", "celery-threads", "messages a second", least=10)
    court.ratio("a", "rate", "taskiq", "messages a second", least=5)
    court.ratio("a", "rate", "dramatiq", "messages a second", least=5)
    court.ratio("a", "rate", fastest, "messages a second, fastest peer", least=3)
    court.ratio("a", "cpu_per_1000", "celery-threads", "CPU a message, stores counted", most=0.2)
    single = court.best("b", "one_rate", more=True)
    on_redis = court.best("b", "one_rate", more=True, store="redis")
    batches = court.best("b", "batches_rate", more=True)
    court.ratio("b", "one_rate", single, "enqueue one by one, fastest peer", least=5)
    court.ratio("b", "one_rate", on_redis, "enqueue one by one, fastest on Redis", least=5)
    court.ratio("b", "batches_rate", batches, "enqueue in batches, fastest in batches", least=30)
    court.ratio(
        "b",
        "batches_rate",
        single,
        "enqueue in batches, fastest one by one",
        least=30,
        theirs="one_rate",
    )
    court.limit("c", "over_ideal", "share of time over the ideal", most=0.03)
    for metric in ("p50_ms", "p99_ms"):
        rival = court.best("d", metric, more=False, store="redis")
        court.ratio("d", metric, rival, f"hand-over {metric[:3]}, best Redis peer", most=1)
    court.growth("cost of a message by backlog", 1.3)
    court.limit("g", "worker_share", "share of a core, waiting", most=0.01)
    court.ratio("h", "rss_mb", "celery-threads", "memory of a worker", most=1)
    court.ratio("h", "rss_mb", "dramatiq", "memory of a worker", most=1)
    _judge_tasks(court)
    return court.verdicts


def _judge_tasks(court: Judge) -> None:
    fastest = court.best("i", "rate", more=True, store="redis")
    court.ratio("i", "rate", OURS, "tasks a second, over events", least=0.95, mine=TASKS)
    court.ratio("i", "rate", fastest, "tasks a second, fastest on Redis", least=7, mine=TASKS)
    fastest = court.best("j", "rate", more=True)
    court.limit("j", "rate", "tasks a second with results", least=10_000, mine=TASKS)
    court.ratio("j", "rate", fastest, "tasks a second with results", least=4, mine=TASKS)
    court.limit("k", "p50_ms", "send, run, get: median ms", most=2.3, mine=TASKS)
    court.limit("k", "p99_ms", "send, run, get: p99 ms", most=6, mine=TASKS)
    power = f"{TASKS}-power"
    court.limit("k", "p99_ms", "send, run, get: p99 ms, durability=power", most=8, mine=power)
    court.limit("l", "many_rate", "send_many a second", least=60_000, mine=TASKS)
    court.limit("l", "kept_rate", "send_many a second with results", least=20_000, mine=TASKS)
    court.limit("m", "wall", "chord of 10,000, s", most=1.5, mine=TASKS)
    court.ratio("m", "rate", "celery-threads", "members of a chord a second", least=10, mine=TASKS)
    court.limit("n", "last_ms", "last of the schedules, ms", most=1000, mine=TASKS)
