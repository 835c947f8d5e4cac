"""Every operation of SNS that is not about phones, in sections that need nothing of each other."""

import json

from tests.clients.listener import listening
from tests.clients.wire import Wire, to_json


def manage_topics(wire: Wire) -> None:
    sns, steps = wire.sns, wire.steps
    name = wire.name("manage")
    params = {
        "Name": name,
        "Attributes": {"DisplayName": "Orders & more"},
        "Tags": [{"Key": "team", "Value": "shop é"}],
    }
    arn = sns.create_topic(**params)["TopicArn"]
    steps.same("CreateTopic answers an ARN", arn, f"arn:aws:sns:us-east-1:000000000000:{name}")
    steps.same("CreateTopic again is the same topic", sns.create_topic(**params)["TopicArn"], arn)
    steps.refused(
        "CreateTopic with other tags is refused",
        "InvalidParameter",
        sns.create_topic,
        Name=name,
        Tags=[{"Key": "team", "Value": "other"}],
    )
    found = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    shown = found["TopicArn"], found["DisplayName"], found["SubscriptionsConfirmed"]
    steps.same("GetTopicAttributes", shown, (arn, "Orders & more", "0"))
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="Orders")
    found = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    steps.same("SetTopicAttributes", found["DisplayName"], "Orders")
    steps.same("ListTopics", {"TopicArn": arn} in wire.all(sns.list_topics, "Topics"), True)
    sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": ""}])
    sns.untag_resource(ResourceArn=arn, TagKeys=["team"])
    tags = sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
    steps.same("TagResource, UntagResource", tags, [{"Key": "stage", "Value": ""}])
    label = {"TopicArn": arn, "Label": "shop"}
    sns.add_permission(**label, AWSAccountId=["111111111111"], ActionName=["Publish"])
    policy = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]
    steps.same("AddPermission", "111111111111" in policy, True)
    sns.remove_permission(**label)
    policy = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]
    steps.same("RemovePermission", "111111111111" in policy, False)
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    steps.refused("DeleteTopic, twice", "NotFound", sns.get_topic_attributes, TopicArn=arn)
    steps.refused("no ARN", "InvalidParameter", sns.get_topic_attributes, TopicArn="orders")
    # What is not here says so, by name.
    none = "InvalidAction"
    steps.refused("data protection", none, sns.get_data_protection_policy, ResourceArn=arn)
    policy = {"ResourceArn": arn, "DataProtectionPolicy": "{}"}
    steps.refused("data protection, put", none, sns.put_data_protection_policy, **policy)
    steps.refused("mobile push", none, sns.list_platform_applications)


def publish_to_queues(wire: Wire) -> None:
    sns, sqs, steps = wire.sns, wire.sqs, wire.steps
    arn = wire.topic("fan")
    plain, raw = wire.queue("fan-plain"), wire.queue("fan-raw")
    first = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=wire.queue_arn("fan-plain"))
    plain_arn = first["SubscriptionArn"]
    raw_arn = sns.subscribe(
        TopicArn=arn,
        Protocol="sqs",
        Endpoint=wire.queue_arn("fan-raw"),
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": to_json({"kind": ["big"]})},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    listed = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    arns = sorted(one["SubscriptionArn"] for one in listed)
    steps.same("ListSubscriptionsByTopic", arns, sorted([plain_arn, raw_arn]))
    everywhere = wire.all(sns.list_subscriptions, "Subscriptions")
    found = {one["SubscriptionArn"] for one in everywhere}
    steps.same("ListSubscriptions", {plain_arn, raw_arn} <= found, True)
    found = sns.get_subscription_attributes(SubscriptionArn=raw_arn)["Attributes"]
    shown = found["RawMessageDelivery"], found["Protocol"], json.loads(found["FilterPolicy"])
    steps.same("GetSubscriptionAttributes", shown, ("true", "sqs", {"kind": ["big"]}))

    def kind(text: str) -> dict[str, dict[str, str]]:
        return {"kind": {"DataType": "String", "StringValue": text}}

    sns.publish(TopicArn=arn, Message="small é", MessageAttributes=kind("small"), Subject="Hello")
    big = sns.publish(TopicArn=arn, Message="big <é>", MessageAttributes=kind("big"))
    envelopes = sorted((json.loads(body) for body in wire.bodies(plain, 2)), key=_message)
    steps.same("Publish: to all", [_message(one) for one in envelopes], ["big <é>", "small é"])
    shown = envelopes[0]["MessageId"], envelopes[0]["TopicArn"], envelopes[1]["Subject"]
    steps.same("Publish: the envelope", shown, (big["MessageId"], arn, "Hello"))
    value = envelopes[0]["MessageAttributes"]["kind"]
    steps.same("Publish: attributes in it", value, {"Type": "String", "Value": "big"})
    (message,) = wire.receive(raw, MessageAttributeNames=["All"])
    steps.same("raw delivery, filtered", message["Body"], "big <é>")
    steps.same("raw delivery: attributes", message["MessageAttributes"], kind("big"))
    sqs.delete_message(QueueUrl=raw, ReceiptHandle=message["ReceiptHandle"])
    sns.set_subscription_attributes(
        SubscriptionArn=raw_arn,
        AttributeName="FilterPolicy",
        AttributeValue=to_json({"kind": [{"prefix": "sm"}]}),
    )
    structure = to_json({"default": "for all", "sqs": "for queues"})
    structured = {"MessageStructure": "json", "MessageAttributes": kind("smooth")}
    sns.publish(TopicArn=arn, Message=structure, **structured)
    steps.same("SetSubscriptionAttributes; a text by protocol", wire.bodies(raw), ["for queues"])
    steps.refused(
        "a filter policy that is none",
        "InvalidParameter",
        sns.set_subscription_attributes,
        SubscriptionArn=raw_arn,
        AttributeName="FilterPolicy",
        AttributeValue='{"kind": "big"}',
    )
    entries = [{"Id": f"n{n}", "Message": f"{n}", "MessageAttributes": kind("s")} for n in range(9)]
    entries.append({"Id": "bad", "Message": ""})
    answer = sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)
    ids = [one["Id"] for one in answer["Successful"]], [one["Id"] for one in answer["Failed"]]
    steps.same("PublishBatch", ids, ([f"n{n}" for n in range(9)], ["bad"]))
    steps.same("PublishBatch: delivered", len(wire.bodies(plain, 10)), 10)
    steps.refused("no message", "InvalidParameter", sns.publish, TopicArn=arn, Message="")
    sns.unsubscribe(SubscriptionArn=plain_arn)
    listed = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    steps.same("Unsubscribe", [one["SubscriptionArn"] for one in listed], [raw_arn])


def fifo_topics(wire: Wire) -> None:
    sns, steps = wire.sns, wire.steps
    arn = wire.topic("order.fifo", ContentBasedDeduplication="true")
    url = wire.queue("ledger.fifo")
    endpoint = {"Protocol": "sqs", "Endpoint": wire.queue_arn("ledger.fifo")}
    sns.subscribe(TopicArn=arn, **endpoint, Attributes={"RawMessageDelivery": "true"})
    sent = [sns.publish(TopicArn=arn, Message=n, MessageGroupId="g") for n in ("1", "2", "1")]
    numbers = [one["SequenceNumber"] for one in sent]
    steps.same("a duplicate answers the first number", numbers[2], numbers[0])
    steps.same("FIFO topic: in order, once", wire.bodies(url, 2), ["1", "2"])
    steps.same("FIFO topic: and no more", wire.counts(url), (0, 0, 0))
    steps.refused("no group", "InvalidParameter", sns.publish, TopicArn=arn, Message="x")
    steps.refused(
        "a FIFO queue on a standard topic",
        "InvalidParameter",
        sns.subscribe,
        TopicArn=wire.topic("standard"),
        **endpoint,
    )


def post_to_urls(wire: Wire) -> None:
    sns, steps = wire.sns, wire.steps
    arn = wire.topic("web")
    with listening() as listener:
        asked = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=listener.url)
        steps.same("Subscribe a URL", asked["SubscriptionArn"], "pending confirmation")
        headers, question = listener.next()
        steps.same("it is asked", question["Type"], "SubscriptionConfirmation")
        answer = sns.confirm_subscription(TopicArn=arn, Token=question["Token"])
        subscription = answer["SubscriptionArn"]
        steps.same("ConfirmSubscription", subscription.startswith(f"{arn}:"), True)
        sent = sns.publish(TopicArn=arn, Message="hello é")
        headers, envelope = listener.next()
        shown = envelope["Type"], envelope["MessageId"], envelope["Message"]
        steps.same("it is posted to", shown, ("Notification", sent["MessageId"], "hello é"))
        steps.same("with its header", headers["x-amz-sns-subscription-arn"], subscription)
        sns.unsubscribe(SubscriptionArn=subscription)
    steps.refused(
        "a wrong token",
        "InvalidParameter",
        sns.confirm_subscription,
        TopicArn=arn,
        Token="nonsense",
    )


SECTIONS = (manage_topics, publish_to_queues, fifo_topics, post_to_urls)


def _message(envelope: dict[str, str]) -> str:
    return envelope["Message"]
