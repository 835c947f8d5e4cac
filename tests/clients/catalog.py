"""The clients there are, how each is run, and in which environment."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.clients.wire import REGION

ROOT = Path(__file__).parents[2]
NEW = ROOT / ".venv-clients/bin/python"
OLD = ROOT / ".venv-clients-old/bin/python"
NODE = ROOT / "tests/clients/node"


@dataclass(frozen=True)
class Client:
    """A client: its command, to which the endpoint is added; what must be there for it; what it
    does; and how many seconds it may take."""

    name: str
    command: tuple[str, ...]
    needs: Path
    protocol: str
    does: str
    limit: float = 180.0


def _python(name: str, module: str, protocol: str, does: str, limit: float = 180.0) -> Client:
    python = OLD if name == "boto3-old" else NEW
    command = (str(python), "-m", f"tests.clients.{module}")
    return Client(name, command, python, protocol, does, limit)


_ALL = "every operation of SQS and SNS"
CLIENTS = {
    client.name: client
    for client in (
        _python(
            "boto3",
            "boto3_sdk",
            "JSON",
            f"{_ALL}, STS, resources, paginators, a presigned URL, wrong keys",
        ),
        _python("boto3-old", "boto3_query", "query", f"{_ALL}, STS, as older SDKs say them"),
        _python("aws-cli", "aws_cli", "JSON", f"{_ALL}, shorthand, pages", limit=420.0),
        _python(
            "aiobotocore",
            "aiobotocore_sdk",
            "JSON",
            f"{_ALL}, 20 long polls at once, a poll given up",
        ),
        _python(
            "celery",
            "celery_sqs",
            "JSON",
            "a worker: tasks, countdown, retry, a broadcast over SNS, a warm stop",
        ),
        _python(
            "from-celery",
            "from_celery",
            "JSON",
            "the programs of [from-celery.md](from-celery.md): before, after, both, the trap",
        ),
        Client(
            "sqs-consumer",
            ("node", str(NODE / "consumer.mjs")),
            NODE / "node_modules",
            "JSON",
            "the SDK's MD5 checks and errors; fan-out, failures, a heartbeat, FIFO batches",
        ),
    )
}


def environment(key: dict[str, str]) -> dict[str, str]:
    """This process's variables with nothing of AWS in them but an access key of the server, so
    that no client ever calls another one."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        **key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }
