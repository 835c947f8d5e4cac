"""`ctx.transaction` over several files: refused, before anything of it is done."""

from typing import Any

from taskflow import Registry, Run, Worker, workflow
from taskflow.broker.own_sql import OwnSql
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.publisher import using
from taskflow.testing import drain


def test_it_is_refused_with_what_to_do_instead(
    broker: ShardedBroker, taskflow_registry: Registry
) -> None:
    called: list[Any] = []

    @workflow(registry=taskflow_registry, queue="flows", retries=0)
    def flow(ctx: Run) -> None:
        ctx.transaction(called.append)

    Worker(broker, registry=taskflow_registry)
    with using(broker):
        run = flow.delay()
        ended = drain(broker, taskflow_registry, raise_errors=False)
        assert len(ended) == 1
        assert run.error is not None
        assert "of several each run lies in another" in run.error.message
        assert "ctx.transaction_on(database, …)" in run.error.message
    assert called == []
    assert not isinstance(broker, OwnSql)
