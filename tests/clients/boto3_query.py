"""An older boto3, which speaks SQS in the query protocol: every operation, and how it was said."""

import sys
from typing import Any

import boto3
import botocore

from tests.clients.boto3_sdk import SECTIONS, connect, find_uncalled
from tests.clients.steps import Steps
from tests.clients.wire import Wire

FORM = "application/x-www-form-urlencoded"


def main(endpoint: str) -> int:
    steps = Steps()
    steps.versions(f"boto3 {boto3.__version__}, botocore {botocore.__version__}")
    sqs, sns = connect("sqs", endpoint), connect("sns", endpoint)
    kinds: set[tuple[str, str]] = set()

    def look(request: Any, **_: Any) -> None:
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        kind = request.headers["Content-Type"]
        kind = kind.decode() if isinstance(kind, bytes) else kind
        kinds.add((kind.partition(";")[0], body.partition("=")[0]))

    sqs.meta.events.register("before-send.sqs", look)
    steps.same("SQS is spoken as", sqs.meta.service_model.metadata["protocol"], "query")
    wire = Wire(sqs, sns, "query", steps)
    for section in SECTIONS:
        section(wire)
    steps.same("every request was a form", kinds, {(FORM, "Action")})
    steps.same("every operation was called", find_uncalled(wire.sqs, wire.sns), [])
    identity = connect("sts", endpoint).get_caller_identity()
    steps.same("STS GetCallerIdentity", identity["Account"], "000000000000")
    return steps.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
