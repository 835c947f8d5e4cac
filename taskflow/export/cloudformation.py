"""The topology as a CloudFormation template, in JSON.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SQS.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SNS.html
"""

import json
from typing import Any

from taskflow.export.iam import let_topics_send, publishers, statement_id, workers
from taskflow.export.plan import DLQ_RETENTION, OLDEST_SECONDS, Names, Plan, Queue
from taskflow.export.table_and_bucket import STATE_ID, TABLE_ID, cloudformation_neighbours

KEEP = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}

Resources = dict[str, dict[str, Any]]


def cloudformation(plan: Plan) -> str:
    """Deploy it with `--capabilities CAPABILITY_IAM`: it holds two managed policies."""
    names = Names()
    for taken in ("AlarmTopicArn", "OldestMessageSeconds", "HasAlarmTopic"):
        names.camel(taken)
    resources: Resources = {}
    outputs: dict[str, Any] = {}
    topics = {topic.topic: names.camel(topic.topic, "topic") for topic in plan.topics}
    for topic in plan.topics:
        id = topics[topic.topic]
        fifo = {"FifoTopic": True} if topic.fifo else {}
        resources[id] = _resource("SNS::Topic", {"TopicName": topic.name, **fifo})
        outputs[f"{id}Arn"] = _output(f"The topic {topic.topic}.", _ref(id))
    queue_ids, dlq_ids = [], []
    for queue in plan.queues:
        id, dlq = names.camel(queue.queue, "queue"), names.camel(queue.queue, "dead letters")
        queue_ids.append(id)
        dlq_ids.append(dlq)
        _add_queue(resources, names, plan, queue, id, dlq, topics)
        outputs[f"{id}Url"] = _output(f"The queue {queue.queue}.", _ref(id))
    arns = [_ref(id) for id in topics.values()]
    beside = {}
    for wanted, (kind, properties) in cloudformation_neighbours(plan.place).items():
        beside[wanted] = names.camel(wanted)
        resources[beside[wanted]] = _resource(kind, properties) | KEEP
    table, kept = beside.get(TABLE_ID), beside.get(STATE_ID)
    state = (_arn(kept), {"Fn::Sub": f"${{{kept}.Arn}}/index/*"}) if kept else None
    publish = publishers(arns, plan.place.payloads_arn, state)
    work = workers(
        [_arn(id) for id in queue_ids],
        [_arn(id) for id in dlq_ids],
        arns,
        plan.filters,
        table and _arn(table),
        plan.place.bucket_arn,
        plan.place.payloads_arn,
        state,
    )
    for what, document in (("publishers", publish), ("workers", work)):
        id = names.camel(what, "policy")
        resources[id] = _resource(
            "IAM::ManagedPolicy",
            {"Description": f"What taskflow {what} may do.", "PolicyDocument": document},
        )
        outputs[f"{id}Arn"] = _output(f"Attach it to the roles of {what}.", _ref(id))
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Topics, queues and access of the taskflow subscriptions.",
        "Parameters": _PARAMETERS,
        "Conditions": {"HasAlarmTopic": {"Fn::Not": [{"Fn::Equals": [_ref("AlarmTopicArn"), ""]}]}},
        "Resources": resources,
        "Outputs": outputs,
    }
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def _add_queue(
    resources: Resources,
    names: Names,
    plan: Plan,
    queue: Queue,
    id: str,
    dlq: str,
    topics: dict[str, str],
) -> None:
    fifo = {"FifoQueue": True} if queue.fifo else {}
    resources[dlq] = _resource(
        "SQS::Queue",
        {
            "QueueName": queue.dlq,
            **fifo,
            "MessageRetentionPeriod": DLQ_RETENTION,
            "MaximumMessageSize": queue.settings.max_message_bytes,
        },
    )
    resources[id] = _resource(
        "SQS::Queue",
        {
            "QueueName": queue.name,
            **fifo,
            "VisibilityTimeout": queue.visibility_seconds,
            "MessageRetentionPeriod": int(queue.settings.retention),
            "MaximumMessageSize": queue.settings.max_message_bytes,
            "RedrivePolicy": {
                "deadLetterTargetArn": _arn(dlq),
                "maxReceiveCount": queue.max_receives,
            },
        },
    )
    policy = names.camel(queue.queue, "queue policy")
    senders = [
        (statement_id(plan, plan.topic(one.topic)), _ref(topics[one.topic]))
        for one in queue.subscriptions
    ]
    resources[policy] = _resource(
        "SQS::QueuePolicy",
        {"Queues": [_ref(id)], "PolicyDocument": let_topics_send(_arn(id), senders)},
    )
    for one in queue.subscriptions:
        subscription = {
            "TopicArn": _ref(topics[one.topic]),
            "Protocol": "sqs",
            "Endpoint": _arn(id),
            "RawMessageDelivery": True,
        }
        if one.filter_policy is not None:
            subscription["FilterPolicy"] = json.loads(one.filter_policy)
            subscription["FilterPolicyScope"] = one.filter_scope
        # What a topic sends before the queue lets it is lost.
        resources[names.camel(one.topic, "to", queue.queue)] = _resource(
            "SNS::Subscription", subscription, policy
        )
    resources[names.camel(queue.queue, "dead letters alarm")] = _alarm(
        f"{queue.dlq} holds messages",
        f"Dead letters in {queue.dlq}: look at them with `taskflow dlq`.",
        dlq,
        "ApproximateNumberOfMessagesVisible",
        0,
    )
    resources[names.camel(queue.queue, "age alarm")] = _alarm(
        f"{queue.name} is behind",
        f"The oldest message of {queue.name} waits for too long.",
        id,
        "ApproximateAgeOfOldestMessage",
        _ref("OldestMessageSeconds"),
    )


def _alarm(name: str, description: str, queue: str, metric: str, above: Any) -> dict[str, Any]:
    return _resource(
        "CloudWatch::Alarm",
        {
            "AlarmName": name,
            "AlarmDescription": description,
            "Namespace": "AWS/SQS",
            "MetricName": metric,
            "Dimensions": [{"Name": "QueueName", "Value": _get(queue, "QueueName")}],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": above,
            "TreatMissingData": "notBreaching",
            "AlarmActions": {
                "Fn::If": ["HasAlarmTopic", [_ref("AlarmTopicArn")], _ref("AWS::NoValue")]
            },
        },
    )


_PARAMETERS = {
    "AlarmTopicArn": {
        "Type": "String",
        "Default": "",
        "Description": "The SNS topic that hears of alarms; empty for none.",
    },
    "OldestMessageSeconds": {
        "Type": "Number",
        "Default": OLDEST_SECONDS,
        "MinValue": 1,
        "Description": "A queue whose oldest message is older raises an alarm.",
    },
}


def _resource(kind: str, properties: dict[str, Any], after: str | None = None) -> dict[str, Any]:
    depends = {} if after is None else {"DependsOn": after}
    return {"Type": f"AWS::{kind}", **depends, "Properties": properties}


def _output(description: str, value: Any) -> dict[str, Any]:
    return {"Description": description, "Value": value}


def _ref(id: str) -> dict[str, Any]:
    return {"Ref": id}


def _get(id: str, attribute: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [id, attribute]}


def _arn(id: str) -> dict[str, Any]:
    return _get(id, "Arn")
