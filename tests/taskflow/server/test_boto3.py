"""boto3 against the app, in this process: every operation, and the exceptions it raises."""

# botocore has no types.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from taskflow.errors import QueueNotFound
from taskflow.server.wire_call import Call
from taskflow.wire.shapes import load_services
from tests.taskflow.server.wire import (
    HOST,
    Actions,
    make_app,
    post,
)


class Raw:
    """A body as botocore reads one."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


def sender(app: Any) -> Callable[..., AWSResponse]:
    """What answers a client's requests by the app in this process."""

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        headers = [
            (name.lower(), text.decode() if isinstance(text, bytes) else str(text))
            for name, text in request.headers.items()
        ]
        path = request.url.removeprefix("http://localhost:9324")
        answer = post(app, body, HOST, *headers, path=path, method=request.method)
        return AWSResponse(request.url, answer.status, answer.headers, Raw(answer.body))

    return send


def make_client(service: str, region: str = "eu-west-1") -> Any:
    """A boto3 client of nobody, yet."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url="http://localhost:9324",
        aws_access_key_id="TF1",
        aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )


def connect(app: Any, service: str, region: str = "eu-west-1") -> Any:
    """A boto3 client that calls the app in this process."""
    client = make_client(service, region)
    client.meta.events.register("before-send", sender(app))
    return client


def fill(shape: Any) -> Any:
    """A value of a botocore shape with everything in it once."""
    match shape.type_name:
        case "structure":
            return {name: fill(item) for name, item in shape.members.items()}
        case "list":
            return [fill(shape.member)]
        case "map":
            return {"k <&> é": fill(shape.value)}
        case "integer" | "long":
            return 7
        case "boolean":
            return True
        case "blob":
            return b"\0\xff"
    return "text <&> é\r\n"


OPERATIONS = [
    (service, name) for service, facts in load_services().items() for name in facts.operations
]


@pytest.fixture
def actions() -> Actions:
    return Actions()


@pytest.fixture
def app(actions: Actions) -> Any:
    return make_app(actions)


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_boto3_calls_every_operation(
    service: str, name: str, actions: Actions, clients: Callable[[str], Any]
) -> None:
    client = clients(service)
    operation = client.meta.service_model.operation_model(name)
    result = fill(operation.output_shape) if operation.output_shape else {}
    actions.result = result
    params = fill(operation.input_shape)
    method = {action: method for method, action in client.meta.method_to_api_mapping.items()}[name]
    answer = getattr(client, method)(**params)
    assert answer.pop("ResponseMetadata")["RequestId"] == "r1"
    assert answer == result
    assert actions.calls[0].params == params


def test_boto3_raises_the_exception_of_the_model() -> None:
    def fail(_: Call) -> None:
        raise QueueNotFound("orders")

    client = connect(make_app({("sqs", "PurgeQueue"): fail}), "sqs")
    with pytest.raises(client.exceptions.QueueDoesNotExist) as caught:
        client.purge_queue(QueueUrl="http://localhost:9324/000000000000/orders")
    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error["QueryErrorCode"] == "QueueDoesNotExist"


def test_boto3_is_told_that_mobile_push_is_not_here() -> None:
    client = connect(make_app(Actions()), "sns")
    with pytest.raises(ClientError, match="is not supported in this region") as caught:
        client.list_platform_applications()
    assert caught.value.response["Error"]["Code"] == "InvalidAction"
