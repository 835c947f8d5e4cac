"""What the load does to a server, one function per job. Each answers one flat sample."""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from benchmarks.wire.client import (
    Connection,
    Queue,
    Refused,
    create_queue,
    failures_of,
    receipts_of,
    sns,
)
from benchmarks.wire.clocks import Meter, quantiles

Sample = dict[str, float]
BLOCK = 0.4  # seconds: send, receive and delete of a block
WARM_UP = 0.3  # seconds of the same work that are not measured
VERBS = ("send", "receive", "delete")


@dataclass(frozen=True)
class Target:
    """A server that runs: its port and its process."""

    port: int
    pid: int


def fresh_name() -> str:
    return f"bench-{uuid4().hex[:12]}"


# ---- cycles -------------------------------------------------------------------------------------
async def cycles(
    target: Target, *, connections: int, batch: int, seconds: float, size: int
) -> Sample:
    """Every connection sends, receives and deletes in turn; the queue stays nearly empty."""
    clients = [Connection(target.port) for _ in range(connections)]
    queue = await create_queue(clients[0], target.port, fresh_name(), "x" * size)
    took: dict[str, list[float]] = {}
    done = {"messages": 0, "requests": 0}

    async def work(client: Connection, until: float) -> None:
        while time.perf_counter() < until:
            _fail_none(await _timed(client, queue.send[batch], took["send"]))
            receipts = receipts_of(await _timed(client, queue.receive[batch], took["receive"]))
            done["requests"] += 2
            if receipts:
                request = queue.delete(receipts, batch)
                _fail_none(await _timed(client, request, took["delete"]))
                done["requests"] += 1
                done["messages"] += len(receipts)

    async def run(length: float) -> None:
        took.update({verb: [] for verb in VERBS})
        done.update(messages=0, requests=0)
        until = time.perf_counter() + length
        await asyncio.gather(*(work(client, until) for client in clients))

    meter = Meter([target.pid])
    await run(WARM_UP)
    own = time.process_time()
    meter.start()
    await run(seconds)
    meter.stop()
    own = time.process_time() - own
    for client in clients:
        client.close()
    sample = {
        "rate": done["messages"] / meter.wall,
        "messages_per_cpu": done["messages"] / meter.cpu,
        "cpu_per_1000": meter.cpu / done["requests"] * 1e3,
        "cpu_share": meter.cpu / meter.wall,
        "load_share": own / meter.wall,
    }
    for verb in VERBS:
        sample |= quantiles(took[verb], f"{verb}_")
    return sample


async def _timed(client: Connection, request: bytes, into: list[float]) -> bytes:
    since = time.perf_counter()
    answer = await client.ask(request)
    into.append(time.perf_counter() - since)
    return answer


def _fail_none(answer: bytes) -> None:
    if failures_of(answer):
        raise Refused(f"entries of a batch failed: {answer[:200].decode(errors='replace')}")


# ---- single operations, by how many wait --------------------------------------------------------
async def fill(
    target: Target, *, messages: int, size: int, connections: int, seconds: float
) -> Sample:
    """Send many in tens; stop after `seconds`. The sample has the queue's URL in `url`."""
    clients = [Connection(target.port) for _ in range(connections)]
    queue = await create_queue(clients[0], target.port, fresh_name(), "x" * size)
    left = messages // 10
    until = time.perf_counter() + seconds
    meter = Meter([target.pid])
    meter.start()

    async def work(client: Connection) -> None:
        nonlocal left
        while left > 0 and time.perf_counter() < until:
            left -= 1
            _fail_none(await client.ask(queue.send[10]))

    await asyncio.gather(*map(work, clients))
    meter.stop()
    for client in clients:
        client.close()
    filled = messages - max(0, left) * 10
    return {"filled": filled, "fill_rate": filled / meter.wall, "url": queue.url}  # type: ignore[dict-item]  # handed back to `operations`


async def operations(
    targets: Sequence[Target],
    urls: Sequence[str],
    *,
    connections: int,
    requests: int,
    blocks: int,
    seconds: float,
    size: int,
) -> list[Sample]:
    """Blocks of sends, receives and deletes, singly and in tens, that take turns on the targets.

    A block puts in what it takes out, `requests` of each verb; fewer on a server where that would
    take more than BLOCK seconds. Answers for each target the CPU milliseconds and the median
    milliseconds of a request, by verb and batch. Ends early after `seconds`, at a block's end.
    """
    benches = []
    for target, url in zip(targets, urls, strict=True):
        clients = [Connection(target.port) for _ in range(connections)]
        if not url:
            queue = await create_queue(clients[0], target.port, fresh_name(), "x" * size)
        else:
            queue = Queue(target.port, url, "x" * size)
        benches.append(_Bench(target, clients, queue))
    for bench in benches:
        await bench.warm_up(requests)
    until = time.perf_counter() + seconds
    for turn in range(blocks):
        for place in range(len(benches)):
            await benches[(turn + place) % len(benches)].block()
        if time.perf_counter() > until:
            break
    return [bench.close() for bench in benches]


class _Bench:
    """One target of `operations`."""

    def __init__(self, target: Target, clients: list[Connection], queue: Queue) -> None:
        self._target, self._clients, self._queue = target, clients, queue
        self._meters: dict[str, Meter] = {}
        self._took: dict[str, list[float]] = {}
        self._counts: dict[int, int] = {}

    async def warm_up(self, most: int) -> None:
        """Find out how many requests a block may have."""
        least = len(self._clients)
        for batch in (1, 10):
            await self._cycle(batch, least)
            since = time.perf_counter()
            await self._cycle(batch, least)
            fitting = int(least * BLOCK / (time.perf_counter() - since))
            self._counts[batch] = max(least, min(most, fitting))
        self._meters, self._took = {}, {}

    async def block(self) -> None:
        for batch, count in self._counts.items():
            await self._cycle(batch, count)

    async def _cycle(self, batch: int, count: int) -> None:
        queue = self._queue
        await self._phase(f"send{batch}", [queue.send[batch]] * count)
        answers = await self._phase(f"receive{batch}", [queue.receive[batch]] * count)
        held = [receipts for answer in answers if (receipts := receipts_of(answer))]
        await self._phase(f"delete{batch}", [queue.delete(some, batch) for some in held])

    async def _phase(self, name: str, requests: list[bytes]) -> list[bytes]:
        meter = self._meters.setdefault(name, Meter([self._target.pid]))
        took = self._took.setdefault(name, [])
        answers: list[bytes] = []

        async def work(client: Connection) -> None:
            while requests:
                answers.append(await _timed(client, requests.pop(), took))

        meter.start()
        await asyncio.gather(*map(work, self._clients))
        meter.stop()
        return answers

    def close(self) -> Sample:
        for client in self._clients:
            client.close()
        sample: Sample = {}
        for name, meter in self._meters.items():
            took = self._took[name]
            if took:
                sample[f"{name}_cpu_ms"] = meter.cpu / len(took) * 1e3
                sample |= quantiles(took, f"{name}_")
        return sample


# ---- SNS ----------------------------------------------------------------------------------------
async def fan_out(
    target: Target, *, queues: int, raw: bool, connections: int, seconds: float, size: int
) -> Sample:
    """Publish one by one to a topic with so many queues, until everything has arrived."""
    clients = [Connection(target.port) for _ in range(connections)]
    ask = clients[0].ask
    body = "x" * size
    arn = _find(b"TopicArn", await ask(sns(target.port, "CreateTopic", Name=fresh_name())))
    made = [await create_queue(clients[0], target.port, fresh_name(), body) for _ in range(queues)]
    for queue in made:
        account, name = queue.url.rsplit("/", 2)[1:]
        options = {"Endpoint": f"arn:aws:sqs:us-east-1:{account}:{name}", "Protocol": "sqs"}
        if raw:
            options |= {
                "Attributes.entry.1.key": "RawMessageDelivery",
                "Attributes.entry.1.value": "true",
            }
        await ask(sns(target.port, "Subscribe", TopicArn=arn, **options))
    publish = sns(target.port, "Publish", TopicArn=arn, Message=body)
    published = 0

    async def work(client: Connection, until: float) -> None:
        nonlocal published
        while time.perf_counter() < until:
            await client.ask(publish)
            published += 1

    async def arrived() -> None:
        for queue in made:
            while _count(await ask(queue.count())) < published:
                pass

    until = time.perf_counter() + WARM_UP
    await asyncio.gather(*(work(client, until) for client in clients))
    await arrived()
    before = published
    meter = Meter([target.pid])
    meter.start()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(work(client, until) for client in clients))
    await arrived()
    meter.stop()
    for client in clients:
        client.close()
    count = published - before
    return {
        "rate": count / meter.wall,
        "messages_per_cpu": count * queues / meter.cpu,
        "cpu_per_1000": meter.cpu / count * 1e3,
    }


def _find(element: bytes, answer: bytes) -> str:
    found = re.search(rb"<%b>([^<]+)<" % element, answer)
    if found is None:
        raise Refused(f"no {element.decode()} in {answer[:200].decode(errors='replace')}")
    return found[1].decode()


def _count(answer: bytes) -> int:
    return int(json.loads(answer)["Attributes"]["ApproximateNumberOfMessages"])
