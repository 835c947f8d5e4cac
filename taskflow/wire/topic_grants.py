"""The statements of a queue's policy that let topics send to it, beside what others wrote there.

https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
"""

import json
from hashlib import sha256
from typing import Any

OURS = "taskflow"  # how the Sid of our statements begins


def _read_policy(text: str | None) -> tuple[dict[str, Any], list[Any]]:
    policy: dict[str, Any] = json.loads(text) if text else {}
    statements = policy.get("Statement", [])
    return policy, statements if isinstance(statements, list) else [statements]


def same_policy(one: str | None, other: str | None) -> bool:
    """Whether two policies say the same."""
    return bool(json.loads(one or "{}") == json.loads(other or "{}"))


def _is_ours(statement: Any) -> bool:
    return isinstance(statement, dict) and str(statement.get("Sid", "")).startswith(OURS)


def without_ours(text: str | None) -> str | None:
    """A policy without the statements that this broker put there; None when nothing is left."""
    policy, statements = _read_policy(text)
    rest = [one for one in statements if not _is_ours(one)]
    if len(rest) == len(statements):
        return text or None
    return json.dumps(policy | {"Statement": rest}) if rest else None


def with_ours(declared: str | None, present: str | None) -> str | None:
    """A declared policy with the statements of this broker that are present already."""
    ours = [one for one in _read_policy(present)[1] if _is_ours(one)]
    if not ours:
        return declared
    policy, statements = _read_policy(declared)
    return json.dumps({"Version": "2012-10-17"} | policy | {"Statement": [*statements, *ours]})


def allow_topic(text: str | None, queue_arn: str, topic_arn: str) -> str | None:
    """A queue's policy with the statement that lets just this topic send; None when it has it.

    https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
    """
    name = "".join(filter(str.isalnum, topic_arn.rpartition(":")[2]))
    statement = {
        "Sid": f"{OURS}{name}{sha256(topic_arn.encode()).hexdigest()[:8]}",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    policy, statements = _read_policy(text)
    if any(isinstance(one, dict) and one.get("Sid") == statement["Sid"] for one in statements):
        return None
    policy = {"Version": "2012-10-17"} | policy | {"Statement": [*statements, statement]}
    return json.dumps(policy)
