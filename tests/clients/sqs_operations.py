"""Every operation of SQS, in sections that need nothing of each other."""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

from tests.clients.wire import Wire, to_json

NOT_THERE = "AWS.SimpleQueueService.NonExistentQueue"
# Text that a client or server may fold, escape wrongly, or cut.
HARD_TEXT = 'a <b> & "c" \r\n\t é 😀 ]]> %20+=&x \u2028 end'


def manage_queues(wire: Wire) -> None:
    sqs, steps = wire.sqs, wire.steps
    name = wire.name("manage")
    params = {
        "QueueName": name,
        "Attributes": {"VisibilityTimeout": "45", "MessageRetentionPeriod": "3600"},
        "tags": {"team": "shop", "stage": "test é"},
    }
    url = sqs.create_queue(**params)["QueueUrl"]
    steps.same("CreateQueue answers a URL", url.endswith(f"/000000000000/{name}"), True)
    steps.same("CreateQueue again is the same queue", sqs.create_queue(**params)["QueueUrl"], url)
    steps.refused(
        "CreateQueue with another attribute is refused",
        "QueueAlreadyExists",
        sqs.create_queue,
        QueueName=name,
        Attributes={"VisibilityTimeout": "46"},
    )
    steps.same("GetQueueUrl", sqs.get_queue_url(QueueName=name)["QueueUrl"], url)
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    shown = {one: found.get(one) for one in ("QueueArn", "VisibilityTimeout", "MaximumMessageSize")}
    wanted = {
        "QueueArn": wire.queue_arn("manage"),
        "VisibilityTimeout": "45",
        "MaximumMessageSize": "1048576",
    }
    steps.same("GetQueueAttributes", shown, wanted)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "46"})
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    steps.same("SetQueueAttributes", found["Attributes"], {"VisibilityTimeout": "46"})
    steps.refused(
        "SetQueueAttributes refuses a wrong value",
        "InvalidAttributeValue",
        sqs.set_queue_attributes,
        QueueUrl=url,
        Attributes={"VisibilityTimeout": "43201"},
    )
    wire.queue("manage2")
    sqs.tag_queue(QueueUrl=url, Tags={"owner": "a=b&c"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
    tags = sqs.list_queue_tags(QueueUrl=url)["Tags"]
    steps.same("TagQueue, UntagQueue", tags, {"stage": "test é", "owner": "a=b&c"})
    first = sqs.list_queues(QueueNamePrefix=name, MaxResults=1)
    steps.same("ListQueues answers a page", first["QueueUrls"], [url])
    second = sqs.list_queues(QueueNamePrefix=name, MaxResults=1, NextToken=first["NextToken"])
    steps.same("ListQueues goes on with its token", second["QueueUrls"], [f"{url}2"])
    steps.same(
        "ListQueues answers no list when there is none",
        sqs.list_queues(QueueNamePrefix=f"{name}-none").get("QueueUrls"),
        None,
    )
    label = {"QueueUrl": url, "Label": "shop"}
    sqs.add_permission(**label, AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    steps.same("AddPermission", "SendMessage" in policy["Policy"], True)
    sqs.remove_permission(**label)
    steps.refused(
        "RemovePermission twice is refused",
        "InvalidParameterValue",
        sqs.remove_permission,
        **label,
    )
    sqs.delete_queue(QueueUrl=url)
    steps.refused("DeleteQueue", NOT_THERE, sqs.get_queue_url, QueueName=name)
    steps.refused("a deleted queue is refused", NOT_THERE, sqs.receive_message, QueueUrl=url)


def send_and_receive(wire: Wire) -> None:
    sqs, steps = wire.sqs, wire.steps
    url = wire.queue("send")
    attributes: dict[str, dict[str, Any]] = {
        "kind": {"DataType": "String", "StringValue": "größe <1>"},
        "count": {"DataType": "Number.int", "StringValue": "42"},
        "blob": {"DataType": "Binary", "BinaryValue": wire.blob},
    }
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody=HARD_TEXT,
        MessageAttributes=attributes,
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": trace}},
    )
    steps.same("SendMessage: MD5 of the body", sent["MD5OfMessageBody"], _md5(HARD_TEXT.encode()))
    md5 = md5_of_attributes(attributes)
    steps.same("SendMessage: MD5 of the attributes", sent["MD5OfMessageAttributes"], md5)
    asked: dict[str, Any] = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    (message,) = wire.receive(url, VisibilityTimeout=30, **asked)
    steps.same("ReceiveMessage: id", message["MessageId"], sent["MessageId"])
    steps.same("ReceiveMessage: body", message["Body"], HARD_TEXT)
    steps.same("ReceiveMessage: attributes", message["MessageAttributes"], attributes)
    steps.same("ReceiveMessage: MD5", message["MD5OfMessageAttributes"], md5)
    system = message["Attributes"]
    steps.same("ReceiveMessage: trace header", system["AWSTraceHeader"], trace)
    steps.same("ReceiveMessage: receive count", system["ApproximateReceiveCount"], "1")
    receipt = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    steps.same("a message in flight is not delivered again", wire.receive(url, wait=0), [])
    sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
    (again,) = wire.receive(url, AttributeNames=["ApproximateReceiveCount"])
    steps.same("ChangeMessageVisibility 0", again["Attributes"], {"ApproximateReceiveCount": "2"})
    steps.same("attributes come when asked for", again.get("MessageAttributes"), None)
    steps.same("the receipt is a new one", again["ReceiptHandle"] != receipt["ReceiptHandle"], True)
    receipt["ReceiptHandle"] = again["ReceiptHandle"]
    sqs.delete_message(**receipt)
    sqs.delete_message(**receipt)
    steps.same("DeleteMessage, twice", wire.counts(url), (0, 0, 0))
    steps.refused(
        "ChangeMessageVisibility of a deleted message is refused",
        "InvalidParameterValue",
        sqs.change_message_visibility,
        **receipt,
        VisibilityTimeout=1,
    )
    receipt["ReceiptHandle"] = "nonsense"
    steps.refused("a wrong receipt", "ReceiptHandleIsInvalid", sqs.delete_message, **receipt)
    sqs.send_message(QueueUrl=url, MessageBody="much later", DelaySeconds=900)
    steps.same("DelaySeconds", (wire.receive(url, wait=0), wire.counts(url)), ([], (0, 0, 1)))
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
    steps.same("a long poll sees it fall due", wire.bodies(url), ["later"])
    large = "x" * 2**20
    sqs.send_message(QueueUrl=url, MessageBody=large)
    steps.same("a message of 1 MiB", wire.bodies(url) == [large], True)
    steps.refused(
        "a larger one is refused",
        "InvalidParameterValue",
        sqs.send_message,
        QueueUrl=url,
        MessageBody=large + "x",
    )
    steps.refused(
        "eleven messages wanted",
        "InvalidParameterValue",
        sqs.receive_message,
        QueueUrl=url,
        MaxNumberOfMessages=11,
    )


def batches(wire: Wire) -> None:
    sqs, steps = wire.sqs, wire.steps
    url = wire.queue("batches")
    entries = [{"Id": f"n{n}", "MessageBody": f"body {n}"} for n in range(10)]
    entries[3]["MessageBody"] = "\x01 is in no XML"
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    accepted = sorted(one["Id"] for one in answer["Successful"])
    steps.same("SendMessageBatch: accepted", accepted, [f"n{n}" for n in range(10) if n != 3])
    failed = [(one["Id"], one["Code"], one["SenderFault"]) for one in answer["Failed"]]
    steps.same("SendMessageBatch: failed", failed, [("n3", "InvalidMessageContents", True)])
    found = wire.receive(url, 9)
    bodies = sorted(message["Body"] for message in found)
    steps.same("ReceiveMessage: up to ten", bodies, [f"body {n}" for n in range(10) if n != 3])
    receipts = [
        {"Id": f"r{n}", "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)
    ]
    changes: list[dict[str, Any]] = [one | {"VisibilityTimeout": 0} for one in receipts[:2]]
    changes.append({"Id": "bad", "ReceiptHandle": "nonsense", "VisibilityTimeout": 0})
    answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)
    ids = [one["Id"] for one in answer["Successful"]], [one["Code"] for one in answer["Failed"]]
    steps.same("ChangeMessageVisibilityBatch", ids, (["r0", "r1"], ["ReceiptHandleIsInvalid"]))
    steps.same("two of nine are visible", wire.counts(url), (2, 7, 0))
    bad = {"Id": "bad", "ReceiptHandle": "nonsense"}
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=[*receipts, bad])
    ids = [one["Id"] for one in answer["Successful"]], [one["Code"] for one in answer["Failed"]]
    wanted = [one["Id"] for one in receipts], ["ReceiptHandleIsInvalid"]
    steps.same("DeleteMessageBatch", ids, wanted)
    steps.same("nothing is left", wire.counts(url), (0, 0, 0))
    prefix = "AWS.SimpleQueueService."
    send = sqs.send_message_batch
    twice = [{"Id": "a", "MessageBody": "x"}] * 2
    many = [{"Id": f"n{n}", "MessageBody": "x"} for n in range(11)]
    for what, code, wrong in (
        ("twice the same id", "BatchEntryIdsNotDistinct", twice),
        ("eleven entries", "TooManyEntriesInBatchRequest", many),
        ("a wrong id", "InvalidBatchEntryId", [{"Id": "a b", "MessageBody": "x"}]),
    ):
        steps.refused(f"a batch with {what}", prefix + code, send, QueueUrl=url, Entries=wrong)


def fifo_queues(wire: Wire) -> None:
    sqs, steps = wire.sqs, wire.steps
    url = wire.queue("order.fifo", ContentBasedDeduplication="true")
    sent = [
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)
        for body, group in (("a1", "a"), ("a2", "a"), ("b1", "b"))
    ]
    numbers = [one["SequenceNumber"] for one in sent]
    steps.same("sequence numbers grow", numbers, sorted(set(numbers)))
    twin = sqs.send_message(QueueUrl=url, MessageBody="a1", MessageGroupId="a")
    same = {"MessageId", "SequenceNumber"}
    steps.same(
        "a duplicate answers the first id",
        {one: twin[one] for one in same},
        {one: sent[0][one] for one in same},
    )
    attempt: dict[str, Any] = {"ReceiveRequestAttemptId": "attempt-1", "AttributeNames": ["All"]}
    (first,) = wire.receive(url, **attempt)
    steps.same("FIFO: the first of a group", first["Body"], "a1")
    steps.same("FIFO: its group", first["Attributes"]["MessageGroupId"], "a")
    steps.same("FIFO: its number", first["Attributes"]["SequenceNumber"], numbers[0])
    (again,) = wire.receive(url, **attempt)
    steps.same(
        "the same attempt id answers the same", again["ReceiptHandle"], first["ReceiptHandle"]
    )
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    steps.same("a group in flight waits", [one["Body"] for one in answer], ["b1"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    steps.same("and goes on after it", wire.bodies(url), ["a2"])
    refused = sqs.send_message
    steps.refused("no group is refused", "MissingParameter", refused, QueueUrl=url, MessageBody="x")
    plain = wire.queue("explicit.fifo")
    params = {"QueueUrl": plain, "MessageBody": "x", "MessageGroupId": "g"}
    steps.refused("no deduplication id is refused", "InvalidParameterValue", refused, **params)
    answer = sqs.send_message_batch(
        QueueUrl=plain,
        Entries=[
            {"Id": n, "MessageBody": n, "MessageGroupId": "g", "MessageDeduplicationId": n}
            for n in "123"
        ],
    )
    steps.same("FIFO: a batch", [one["Id"] for one in answer["Successful"]], ["1", "2", "3"])
    steps.same("FIFO: in its order", wire.bodies(plain, 3), ["1", "2", "3"])


def dead_letters(wire: Wire) -> None:
    sqs, steps = wire.sqs, wire.steps
    dead, arn = wire.queue("dead"), wire.queue_arn("dead")
    redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": 1}
    url = wire.queue("work", RedrivePolicy=to_json(redrive))
    found = sqs.list_dead_letter_source_queues(QueueUrl=dead)
    steps.same("ListDeadLetterSourceQueues", found["queueUrls"], [url])
    entries = [{"Id": n, "MessageBody": n} for n in "0123456789"]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    wire.receive(url, 10, VisibilityTimeout=0)
    wire.receive(url, wait=0)
    steps.same("a second receive finds dead letters", wire.counts(dead), (10, 0, 0))
    (one,) = wire.receive(dead, AttributeNames=["All"], VisibilityTimeout=0)
    source = one["Attributes"].get("DeadLetterQueueSourceArn")
    steps.same("they say where they were", source, wire.queue_arn("work"))
    slow = {"SourceArn": arn, "MaxNumberOfMessagesPerSecond": 1}
    handle = sqs.start_message_move_task(**slow)["TaskHandle"]
    (task,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    shown = (task["Status"], task["TaskHandle"], task["SourceArn"])
    steps.same("ListMessageMoveTasks: running", shown, ("RUNNING", handle, arn))
    steps.refused("only one task", "InvalidParameterValue", sqs.start_message_move_task, **slow)
    moved = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    steps.same("CancelMessageMoveTask: some are left", moved < 10, True)
    (task,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    steps.same("ListMessageMoveTasks: cancelled", task["Status"][:6], "CANCEL")
    steps.refused(
        "a task that has ended",
        "ResourceNotFoundException",
        sqs.cancel_message_move_task,
        TaskHandle=handle,
    )
    sqs.start_message_move_task(SourceArn=arn)
    steps.same(
        "StartMessageMoveTask: all are back", sorted(wire.bodies(url, 10)), list("0123456789")
    )
    steps.refused(
        "a source that is no dead-letter queue",
        "InvalidParameterValue",
        sqs.start_message_move_task,
        SourceArn=wire.queue_arn("work"),
    )


def purge(wire: Wire) -> None:
    sqs, steps = wire.sqs, wire.steps
    url = wire.queue("purge")
    entries = [{"Id": f"{n}", "MessageBody": "x", "DelaySeconds": n} for n in (0, 900)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    sqs.purge_queue(QueueUrl=url)
    steps.same("PurgeQueue", wire.counts(url), (0, 0, 0))
    steps.refused(
        "PurgeQueue again within a minute",
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        sqs.purge_queue,
        QueueUrl=url,
    )


SECTIONS = (manage_queues, send_and_receive, batches, fifo_queues, dead_letters, purge)


def md5_of_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """As clients check it:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    parts = []
    for name, one in sorted(attributes.items()):
        blob = one.get("BinaryValue")
        value = one["StringValue"].encode() if blob is None else blob
        for text in (name.encode(), one["DataType"].encode()):
            parts.append(struct.pack(">I", len(text)) + text)
        parts.append(bytes([1 if blob is None else 2]) + struct.pack(">I", len(value)) + value)
    return _md5(b"".join(parts))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
