"""The topology as a Terraform module: one file of HCL for the AWS provider.

https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/sqs_queue
"""

import json
from collections.abc import Iterator
from typing import Any

from taskflow.export.hcl import Block, Expression, Json, block, label, quote
from taskflow.export.iam import STATEMENT_HASH, let_topics_send, publishers, statement_id, workers
from taskflow.export.plan import DLQ_RETENTION, OLDEST_SECONDS, Names, Plan, Queue
from taskflow.export.table_and_bucket import STATE, TABLE, terraform_neighbours

PROVIDER = ">= 6.8"
"""The first one that takes a queue's maximum message size of 1 MiB."""


def terraform(plan: Plan) -> str:
    """Variables, resources, outputs; a provider block only when a region is given."""
    topic_names, queue_names = Names(), Names()
    topics = {one.topic: topic_names.snake(one.topic) for one in plan.topics}
    queues = [(one, queue_names.snake(one.queue)) for one in plan.queues]
    dlqs = [queue_names.snake(one.queue, "dlq") for one in plan.queues]
    subscriptions = Names()
    blocks = list(_settings(plan))
    for topic in plan.topics:
        fifo = True if topic.fifo else None
        blocks.append(
            _resource(
                "aws_sns_topic", topics[topic.topic], {"name": topic.name, "fifo_topic": fifo}
            )
        )
    for (queue, id), dlq in zip(queues, dlqs, strict=True):
        blocks += _queue(queue, id, dlq)
        senders = [_arn("aws_sns_topic", topics[one.topic]) for one in queue.subscriptions]
        statements = [
            _statement_id(plan, one.topic, topic)
            for one, topic in zip(queue.subscriptions, senders, strict=True)
        ]
        blocks += _policy(queue, id, list(zip(statements, senders, strict=True)))
        blocks += _subscriptions(queue, id, senders, subscriptions)
        blocks += _alarms(queue, id, dlq)
    blocks += terraform_neighbours(plan.place)
    topic_arns = {topic: _arn("aws_sns_topic", id) for topic, id in topics.items()}
    kept = _arn("aws_dynamodb_table", STATE)
    indexes = Expression(f'"${{{kept}}}/index/*"')
    state = None if plan.place.state_table is None else (kept, indexes)
    documents = {
        "publishers": publishers(list(topic_arns.values()), plan.place.payloads_arn, state),
        "workers": workers(
            [_arn("aws_sqs_queue", id) for _, id in queues],
            [_arn("aws_sqs_queue", dlq) for dlq in dlqs],
            list(topic_arns.values()),
            plan.filters,
            plan.place.table and _arn("aws_dynamodb_table", TABLE),
            plan.place.bucket_arn,
            plan.place.payloads_arn,
            state,
        ),
    }
    for who, document in documents.items():
        policy = {
            "name_prefix": f"{plan.place.prefix}taskflow-{who}-",
            "description": f"What taskflow {who} may do.",
            "policy": Json(document),
        }
        blocks.append(_resource("aws_iam_policy", who, policy))
    urls = {queue.queue: Expression(f"aws_sqs_queue.{id}.url") for queue, id in queues}
    blocks.append(block(label("output", "topic_arns"), {"value": topic_arns}))
    blocks.append(block(label("output", "queue_urls"), {"value": urls}))
    for who in documents:
        found = {
            "description": f"Attach it to the roles of {who}.",
            "value": _arn("aws_iam_policy", who),
        }
        blocks.append(block(label("output", f"{who}_policy_arn"), found))
    return "\n".join(blocks)


def _settings(plan: Plan) -> Iterator[str]:
    provider = {"source": "hashicorp/aws", "version": PROVIDER}
    yield block("terraform", {"required_providers": Block(aws=provider)})
    if plan.place.region is not None:
        account = None if plan.place.account is None else [plan.place.account]
        yield block(
            label("provider", "aws"),
            {"region": plan.place.region, "allowed_account_ids": account},
        )
    yield block(
        label("variable", "alarm_actions"),
        {
            "description": "The ARNs of what hears of alarms, such as an SNS topic.",
            "type": Expression("list(string)"),
            "default": [],
        },
    )
    yield block(
        label("variable", "oldest_message_seconds"),
        {
            "description": "A queue whose oldest message is older raises an alarm.",
            "type": Expression("number"),
            "default": OLDEST_SECONDS,
        },
    )


def _queue(queue: Queue, id: str, dlq: str) -> Iterator[str]:
    fifo = True if queue.fifo else None
    yield _resource(
        "aws_sqs_queue",
        dlq,
        {
            "name": queue.dlq,
            "fifo_queue": fifo,
            "message_retention_seconds": DLQ_RETENTION,
            "max_message_size": queue.settings.max_message_bytes,
        },
    )
    redrive = {
        "deadLetterTargetArn": _arn("aws_sqs_queue", dlq),
        "maxReceiveCount": queue.max_receives,
    }
    yield _resource(
        "aws_sqs_queue",
        id,
        {
            "name": queue.name,
            "fifo_queue": fifo,
            "visibility_timeout_seconds": queue.visibility_seconds,
            "message_retention_seconds": int(queue.settings.retention),
            "max_message_size": queue.settings.max_message_bytes,
            "redrive_policy": Json(redrive),
        },
    )


def _policy(queue: Queue, id: str, senders: list[tuple[Expression, Expression]]) -> Iterator[str]:
    policy = let_topics_send(_arn("aws_sqs_queue", id), senders)
    yield _resource(
        "aws_sqs_queue_policy",
        id,
        {"queue_url": Expression(f"aws_sqs_queue.{id}.url"), "policy": Json(policy)},
    )


def _subscriptions(queue: Queue, id: str, senders: list[Expression], names: Names) -> Iterator[str]:
    for one, topic in zip(queue.subscriptions, senders, strict=True):
        attributes: dict[str, Any] = {
            "topic_arn": topic,
            "protocol": "sqs",
            "endpoint": _arn("aws_sqs_queue", id),
            "raw_message_delivery": True,
        }
        if one.filter_policy is not None:
            attributes["filter_policy_scope"] = one.filter_scope
            attributes["filter_policy"] = Json(json.loads(one.filter_policy))
        # What a topic sends before the queue lets it is lost.
        attributes["depends_on"] = [Expression(f"aws_sqs_queue_policy.{id}")]
        name = names.snake(one.topic, "to", queue.queue)
        yield _resource("aws_sns_topic_subscription", name, attributes)


def _alarms(queue: Queue, id: str, dlq: str) -> Iterator[str]:
    yield _alarm(
        dlq,
        f"{queue.dlq} holds messages",
        f"Dead letters in {queue.dlq}: look at them with `taskflow dlq`.",
        "ApproximateNumberOfMessagesVisible",
        0,
    )
    yield _alarm(
        id,
        f"{queue.name} is behind",
        f"The oldest message of {queue.name} waits for too long.",
        "ApproximateAgeOfOldestMessage",
        Expression("var.oldest_message_seconds"),
    )


def _alarm(queue: str, name: str, description: str, metric: str, above: Any) -> str:
    """Resources of other kinds may have the queue's own name."""
    return _resource(
        "aws_cloudwatch_metric_alarm",
        queue,
        {
            "alarm_name": name,
            "alarm_description": description,
            "namespace": "AWS/SQS",
            "metric_name": metric,
            "dimensions": {"QueueName": Expression(f"aws_sqs_queue.{queue}.name")},
            "statistic": "Maximum",
            "period": 60,
            "evaluation_periods": 1,
            "comparison_operator": "GreaterThanThreshold",
            "threshold": above,
            "treat_missing_data": "notBreaching",
            "alarm_actions": Expression("var.alarm_actions"),
        },
    )


def _statement_id(plan: Plan, topic: str, arn: Expression) -> Expression:
    """As `statement_id`, by an expression where region and account are not known."""
    sid = statement_id(plan, plan.topic(topic))
    if plan.place.region and plan.place.account:
        return Expression(quote(sid))
    stem = sid[:-STATEMENT_HASH]
    return Expression(f'"{stem}${{substr(sha256({arn}), 0, {STATEMENT_HASH})}}"')


def _resource(kind: str, name: str, attributes: dict[str, Any]) -> str:
    return block(label("resource", kind, name), attributes)


def _arn(kind: str, name: str) -> Expression:
    return Expression(f"{kind}.{name}.arn")
