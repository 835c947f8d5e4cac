"""The AWS broker with its state where hosts share it: DynamoDB as moto has it, SQL and Redis.

The SQL database is SQLite, or the one whose address TASKFLOW_TEST_SQL names. Redis is a fake in
this process, or the one that TASKFLOW_TEST_REDIS names.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow.brokers.aws.broker import AwsBroker
from taskflow.testing.contract.differs import Differs
from tests.contract import differences as tables
from tests.contract.wire import SharedClock, aws_broker
from tests.taskflow.aws.states.places import PLACES, Place, dynamo_place, redis_place, sql_place


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A place that is empty."""
    if request.param == "dynamodb":
        moto = request.getfixturevalue("moto")
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto)
        with dynamo_place(moto, request.node.nodeid) as made:
            yield made
    elif request.param == "redis":
        with redis_place() as made:
            yield made
    else:
        with sql_place(tmp_path) as made:
            yield made


@pytest.fixture
def broker(clock: SharedClock, place: Place) -> Iterator[AwsBroker]:
    """The AWS broker whose state lies there."""
    with aws_broker(clock, place.address) as opened:
        yield opened


@pytest.fixture
def differences(request: pytest.FixtureRequest) -> dict[str, Differs]:
    """What differs in this test over AWS, wherever the state is."""
    name = request.node.name
    found = tables.find("aws", tables.bare(request.node.callspec.params["place"], name))
    return {name: found} if found else {}
