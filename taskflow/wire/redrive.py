"""Redrive policies as SQS and SNS write them, and which queue may be another's dead-letter queue.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
"""

import json
from collections.abc import Callable
from typing import Any, Literal

from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_RECEIVES, is_fifo

MAX_REDRIVE_SOURCES = 10
HEADROOM = 10
"""How many receives more than `max_receives` SQS itself allows before it moves a message of ours.
Its receive count rises for reasons that are no attempts (a message not yet due, a peek, one given
back); the AWS broker counts the attempts and moves the message at `max_receives`, with its failure
record. SQS's own move is the net under that."""
ALLOW_ALL = '{"redrivePermission":"allowAll"}'

Fault = Literal["itself", "kind", "forbidden"]
"""Why a queue cannot be another's dead-letter queue: it is that queue, one is FIFO and the other is
not, or it does not allow it."""

ArnOf = Callable[[str], str]
NameOf = Callable[[str], str | None]


# ---- RedrivePolicy ------------------------------------------------------------------------------
def write_redrive(arn: str, receives: int | None = None) -> str:
    """The policy of a queue; without `receives` that of a subscription."""
    if receives is None:
        return json.dumps({"deadLetterTargetArn": arn})
    return _dump({"deadLetterTargetArn": arn, "maxReceiveCount": receives})


def read_redrive(text: str | None) -> tuple[str, int] | None:
    """(ARN, receives) of a policy that SQS or SNS accepted; 0 receives for a subscription's. None
    when there is none."""
    policy = json.loads(text or "{}")
    if not policy:
        return None
    return str(policy["deadLetterTargetArn"]), int(policy.get("maxReceiveCount", 0))


def with_headroom(receives: int) -> int:
    """What SQS is told of `max_receives`."""
    return min(MAX_RECEIVES, receives + HEADROOM)


def without_headroom(count: int) -> int:
    """The `max_receives` of what SQS says. What other tools wrote, ten or less, is as it is."""
    return count - HEADROOM if count > HEADROOM else count


# ---- RedriveAllowPolicy -------------------------------------------------------------------------
def write_redrive_allow(sources: tuple[str, ...] | None, arn_of: ArnOf) -> str:
    """Who may name a queue as its dead-letter queue: None for all."""
    if sources is None:
        return ALLOW_ALL
    if not sources:
        return _dump({"redrivePermission": "denyAll"})
    arns = [arn_of(name) for name in sources]
    return _dump({"redrivePermission": "byQueue", "sourceQueueArns": arns})


def read_redrive_allow(text: str | None, name_of: NameOf) -> tuple[str, ...] | None:
    """Who may, by a policy that SQS accepted. ARNs that are not ours stay as they are."""
    policy = json.loads(text or "{}")
    match policy.get("redrivePermission"):
        case "denyAll":
            return ()
        case "byQueue":
            return tuple(name_of(arn) or arn for arn in policy.get("sourceQueueArns", ()))
    return None


# ---- dead-letter queues -------------------------------------------------------------------------
def target_fault(queue: str, target: str, sources: tuple[str, ...] | None) -> Fault | None:
    """Why `target`, which allows `sources`, cannot be the dead-letter queue of `queue`; None when
    it can."""
    if target == queue:
        return "itself"
    if is_fifo(target) != is_fifo(queue):
        return "kind"
    if sources is not None and queue not in sources:
        return "forbidden"
    return None


def check_target(queue: str, target: str, sources: tuple[str, ...] | None) -> None:
    """Raise LimitExceeded, in a broker's words, when it cannot."""
    match target_fault(queue, target, sources):
        case "itself":
            raise LimitExceeded(f"queue {queue!r} cannot be its own dead-letter queue")
        case "kind":
            raise LimitExceeded(
                f"the dead-letter queue of a FIFO queue is FIFO, of a standard queue standard; "
                f"{target!r} and {queue!r} differ"
            )
        case "forbidden":
            raise LimitExceeded(
                f"queue {target!r} does not allow {queue!r} to use it as its dead-letter queue"
            )


def _dump(policy: dict[str, Any]) -> str:
    return json.dumps(policy, separators=(",", ":"))
