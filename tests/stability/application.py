"""What was at work when a release wrote its file, under names that stay."""

from taskflow import Context, Registry, Run, chord, group, publish, schedules, task, workflow

STARTED = 1_800_000_000.0
kept = Registry()
heard: list[str] = []


@kept.subscribe("order.created", queue="audit", retries=2)
def record(order: dict[str, str], ctx: Context) -> None:
    if order["id"] == "bad":
        raise ValueError("no such order")
    heard.append(f"{order['id']} of {ctx.event.source}, attempt {ctx.attempt}")


@kept.subscribe("paid.fifo", queue="ledger.fifo", retries=2)
def book(order: dict[str, str]) -> None:
    heard.append(f"booked {order['id']}")


@task(queue="jobs", name="shop.add", result="30d", result_failed="30d", retries=0, registry=kept)
def add(x: int, y: int = 1) -> int:
    if y == 0:
        raise ZeroDivisionError("nothing to add")
    return x + y


@task(queue="jobs", name="shop.total", result="30d", registry=kept)
def total(parts: list[int]) -> int:
    return sum(parts)


@task(queue="jobs", name="shop.tick", registry=kept)
def tick() -> None:
    heard.append("tick")


@workflow(queue="runs", name="shop.fulfil", keep="30d", registry=kept)
def fulfil(ctx: Run, order: str) -> str:
    reserved = ctx.step(reserve, order)
    by = ctx.wait("picked.up", timeout="3d")
    return f"{reserved}, by {by}"


def reserve(order: str) -> str:
    heard.append(f"reserved {order}")
    return f"{order} is reserved"


def begin() -> dict[str, str]:
    """What workers do before the file is put away; answers the ids of runs."""
    return {
        "done": add.delay(1, 2).id,
        "failed": add.delay(1, 0).id,
        "run": fulfil.options(id="order-7").delay("order-7").id,
    }


def leave() -> dict[str, str]:
    """What nobody has worked on by then; the ids likewise."""
    publish("order.created", {"id": "waits"}, source="shop", attributes={"kind": "big"})
    publish("paid.fifo", {"id": "first"}, group="customer-1")
    publish("paid.fifo", {"id": "second"}, group="customer-1")
    schedules.put("hourly", every="1h", task=tick)
    return {
        "waits": add.options(priority="high").delay(20, 2).id,
        "later": add.options(delay=7200).delay(5).id,
        "chord": chord(group(add.s(n) for n in range(3)), total.s()).delay().id,
    }
