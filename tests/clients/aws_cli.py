"""The AWS CLI, typed as people type it: every operation of both services, then its shorthand."""

import json
import re
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients import sns_operations, sqs_operations
from tests.clients.steps import Steps
from tests.clients.wire import Wire

AWS = Path(sys.executable).with_name("aws")
LIMIT = 90.0  # seconds for one command
LONG = 100_000  # characters; the kernel takes no argument over 128 KiB
# Parameters that the CLI calls otherwise, since `--endpoint` would stand for `--endpoint-url`.
OTHERWISE = {"Endpoint": "NotificationEndpoint"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+")


class Refused(Exception):
    """An error answer, in the shape of botocore's ClientError."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class Cli:
    """A service of the CLI with the methods of a boto3 client; each call is one command."""

    def __init__(self, service: str, endpoint: str, folder: Path) -> None:
        self._service = service
        self._endpoint = endpoint
        self._folder = folder

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(**params: Any) -> Any:
            options = [word for name, value in params.items() for word in self._option(name, value)]
            said = self.run(method.replace("_", "-"), *options)
            return json.loads(said, object_hook=_decode) if said else {}

        return call

    def run(self, *words: str) -> str:
        """Run `aws SERVICE words`; answers what it prints. Raises Refused for an error answer."""
        place = ["--endpoint-url", self._endpoint, "--output", "json"]
        command = [str(AWS), self._service, *words, *place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        if done.returncode == 0:
            return done.stdout
        _, found, rest = done.stderr.partition("An error occurred (")
        if not found:
            raise RuntimeError(f"{' '.join(words)[:200]}: {done.stderr[-2000:]}")
        raise Refused(rest.partition(")")[0])

    def _option(self, name: str, value: object) -> list[str]:
        words = _WORD.findall(OTHERWISE.get(name, name))
        option = "--" + "-".join(words).lower()
        if isinstance(value, bool):
            return [option if value else f"--no-{option[2:]}"]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return [option, *value]
        text = value if isinstance(value, str) else json.dumps(value, default=bytes.decode)
        if len(text) > LONG:
            file = self._folder / "long"
            file.write_text(text)
            text = f"file://{file}"
        return [option, text]


def _decode(found: dict[str, Any]) -> dict[str, Any]:
    if "BinaryValue" in found:
        found["BinaryValue"] = b64decode(found["BinaryValue"])
    return found


def use_shorthand(wire: Wire, sqs: Cli, sns: Cli) -> None:
    """Options in the CLI's own notation, its queries, its pages, its tables."""
    steps = wire.steps
    name = wire.name("shorthand")
    shorthand = ["--attributes", "VisibilityTimeout=33,DelaySeconds=0", "--tags", "team=shop"]
    query = ["--query", "QueueUrl"]
    url = json.loads(sqs.run("create-queue", "--queue-name", name, *shorthand, *query))
    kind = ["--message-attributes", "kind={DataType=String,StringValue=big}"]
    sqs.run("send-message", "--queue-url", url, "--message-body", "hello", *kind)
    ask = ["--wait-time-seconds", "20", "--message-attribute-names", "kind"]
    ask += ["--message-system-attribute-names", "SentTimestamp", "--query", "Messages[0]"]
    message = json.loads(sqs.run("receive-message", "--queue-url", url, *ask))
    shown = message["Body"], message["MessageAttributes"]["kind"]["StringValue"]
    steps.same("shorthand attributes", shown, ("hello", "big"))
    for n in range(5):
        wire.queue(f"page-{n}")
    pages = ["--queue-name-prefix", wire.name("page"), "--page-size", "2", "--max-items", "3"]
    found = json.loads(sqs.run("list-queues", *pages))
    steps.same("pages", len(found["QueueUrls"]), 3)
    rest = json.loads(sqs.run("list-queues", *pages, "--starting-token", found["NextToken"]))
    steps.same("the pages after", len(rest["QueueUrls"]), 2)
    topic = json.loads(sns.run("create-topic", "--name", name))["TopicArn"]
    place = ["--topic-arn", topic, "--protocol", "sqs"]
    place += ["--notification-endpoint", wire.queue_arn("shorthand")]
    sns.run("subscribe", *place, "--attributes", "RawMessageDelivery=true")
    sns.run("publish", "--topic-arn", topic, "--message", "fanned out", *kind)
    steps.same("subscribe and publish", wire.bodies(url), ["fanned out"])


def main(endpoint: str) -> int:
    steps = Steps()
    said = subprocess.run([str(AWS), "--version"], capture_output=True, text=True, check=True)
    words = dict(word.split("/", 1) for word in (said.stdout or said.stderr).split())
    steps.versions(f"awscli {words['aws-cli']}, botocore {words['botocore']}")
    with tempfile.TemporaryDirectory() as folder:
        sqs, sns = (Cli(service, endpoint, Path(folder)) for service in ("sqs", "sns"))
        # A command line holds no zero bytes and no bytes that are not UTF-8.
        wire = Wire(sqs, sns, "cli", steps, blob=b"binary <&>")
        for section in sqs_operations.SECTIONS + sns_operations.SECTIONS:
            section(wire)
        use_shorthand(wire, sqs, sns)
    return steps.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
