"""Who may do what: access policies with no right too many, for queues, publishers and workers.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
"""

import json
from collections.abc import Sequence
from typing import Any

from taskflow.export.plan import Plan, Topic
from taskflow.wire.topic_grants import allow_topic

VERSION = "2012-10-17"
STATEMENT_HASH = 8  # characters
WORK = (
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:SendMessage",  # a retry after more than twelve hours is a new message
)
BURY = ("sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl")
SUBSCRIBE = ("sns:GetTopicAttributes", "sns:Subscribe")
"""A worker that starts makes sure of its subscriptions; where they are as they should be, that
changes nothing."""
FILTER = ("sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes")

CLAIM = (
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:BatchGetItem",
)
KEEP = ("dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:DeleteItem")
LIST = ("dynamodb:Query",)  # by the indexes of the table of state
FETCH = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")  # one puts marks and removes payloads

# An ARN is text, or what a format writes for "the ARN of that resource".
Document = dict[str, Any]


def let_topics_send(queue: Any, topics: Sequence[tuple[Any, Any]]) -> Document:
    """The policy of a queue: these topics (statement id and ARN) may send to it, and nobody else
    by it."""
    return _document(
        *(
            {
                "Sid": sid,
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }
            for sid, topic in topics
        )
    )


def statement_id(plan: Plan, topic: Topic) -> str:
    """The id by which a worker knows that a queue lets a topic send. It ends in a hash of the
    topic's ARN, so without region and account it is another than the worker's."""
    policy = json.loads(allow_topic(None, "", plan.place.arn("sns", topic.name)) or "{}")
    sid: str = policy["Statement"][0]["Sid"]
    return sid


def publishers(
    topics: Sequence[Any],
    payloads: str | None = None,
    state: tuple[Any, Any] | None = None,
) -> Document:
    """What a program needs that publishes. (PublishBatch is sns:Publish too.) With
    payloads in S3 it counts who will read one; with a table of state (its ARN, and that of its
    indexes) it calls tasks whose results are kept, and asks for them."""
    statements = [_allow("Publish", ("sns:Publish",), topics)]
    if payloads is not None:
        statements.append(_allow("CountReaders", ("sns:ListSubscriptionsByTopic",), topics))
        statements.append(_allow("StorePayloads", ("s3:PutObject",), [payloads]))
    return _document(*statements, *_keep(state))


def _keep(state: tuple[Any, Any] | None) -> list[Document]:
    if state is None:
        return []
    return [_allow("KeepRecords", KEEP, state[:1]), _allow("ListRecords", LIST, state[1:])]


def workers(
    queues: Sequence[Any],
    dead_letter_queues: Sequence[Any],
    topics: Sequence[Any],
    filters: bool,
    table: Any = None,
    bucket: str | None = None,
    payloads: str | None = None,
    state: tuple[Any, Any] | None = None,
) -> Document:
    """What a worker needs: lend, settle, look at the attributes; send to the dead letters; find
    its subscriptions, and their filters if it has some; keep book of finished events, and records;
    fetch and remove payloads. (Batches are the same rights as single messages.)"""
    subscribe = SUBSCRIBE + FILTER if filters else SUBSCRIBE
    statements = [
        _allow("Work", WORK, queues),
        _allow("BuryDeadLetters", BURY, dead_letter_queues),
        _allow("FindSubscriptions", subscribe, topics),
    ]
    if table is not None:
        statements.append(_allow("ClaimEvents", CLAIM, [table]))
    if bucket is not None and payloads is not None:
        statements.append(_allow("FetchPayloads", FETCH, [payloads]))
        # Without it a payload that is gone looks like one that may not be read.
        statements.append(_allow("FindPayloads", ("s3:ListBucket",), [bucket]))
    return _document(*statements, *_keep(state))


def iam_policy(plan: Plan) -> str:
    """Both policies as JSON, under the names `publishers` and `workers`."""
    place = plan.place
    arn, table, payloads = place.arn, place.table, place.payloads_arn
    topics = [arn("sns", topic.name) for topic in plan.topics]
    kept = place.state_table and arn("dynamodb", f"table/{place.state_table}")
    state = (kept, f"{kept}/index/*") if kept else None
    documents = {
        "publishers": publishers(topics, payloads, state),
        "workers": workers(
            [arn("sqs", queue.name) for queue in plan.queues],
            [arn("sqs", queue.dlq) for queue in plan.queues],
            topics,
            plan.filters,
            table and arn("dynamodb", f"table/{table}"),
            place.bucket_arn,
            payloads,
            state,
        ),
    }
    return json.dumps(documents, indent=2) + "\n"


def _document(*statements: Document) -> Document:
    return {"Version": VERSION, "Statement": list(statements)}


def _allow(sid: str, actions: Sequence[str], resources: Sequence[Any]) -> Document:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
