"""The SNS actions on topics: create, list, set, delete, tag, permit.

https://docs.aws.amazon.com/sns/latest/api/API_Operations.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from taskflow.broker.settings import TopicSettings
from taskflow.errors import LimitExceeded, TopicNotFound
from taskflow.limits import is_fifo
from taskflow.server.backend import Backend
from taskflow.server.delivery_policy import show_topic_policy
from taskflow.server.paging import read_token, write_token
from taskflow.server.sns_attributes import (
    read_flag,
    set_attribute,
    show_attributes,
)
from taskflow.server.wire_call import Call, Result
from taskflow.wire.envelope import wire_topic
from taskflow.wire.error_codes import WireError, common_error, invalid_parameter, service_error
from taskflow.wire.names import check_topic_name
from taskflow.wire.policies import PolicyError, add_statement, remove_statement
from taskflow.wire.topic_attributes import default_policy

PAGE = 100
LARGE = 262_144  # bytes; a topic for longer messages has few subscriptions, and all are queues
MOST_OF_LARGE = 100
_TAG = re.compile(r"[^\x00-\x1f]*")


class TopicActions:
    """One method per operation; each takes a Call and answers the operation's output."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker

    # ---- create, list, delete ---------------------------------------------------------------
    async def create_topic(self, call: Call) -> Result:
        """Make a topic, or answer the one that is like it."""
        name, attributes = call.params["Name"], dict(call.params.get("Attributes", {}))
        refuse_data_protection(call.params.get("DataProtectionPolicy"))
        with_reason = _Reasons("Attributes Reason: ")
        fifo = with_reason(lambda: read_flag("FifoTopic", attributes.pop("FifoTopic", "false")))
        check_topic_name(name, fifo)
        tags = _read_tags(call.params.get("Tags", ()))
        topic = self._backend.topic_named(name, call)

        def change(settings: TopicSettings) -> TopicSettings:
            for attribute, text in attributes.items():
                settings = with_reason(set_attribute, settings, attribute, text, fifo)
            return settings

        await self._backend.together(self._create, topic, change, tags)
        return {"TopicArn": self._backend.arn_of_topic(topic)}

    def _create(
        self, topic: str, change: Callable[[TopicSettings], TopicSettings], tags: Mapping[str, str]
    ) -> None:
        try:
            settings = self._broker.topic_settings(topic)
        except TopicNotFound:
            self._broker.create_topic(topic, change(TopicSettings()))
            if tags:
                self._tag(topic, tags)
            return
        if tags.items() - self._broker.describe_topic(topic).tags.items():
            raise invalid_parameter("Tags Reason: Topic already exists with different tags")
        if change(settings) != settings:
            raise invalid_parameter(
                "Attributes Reason: Topic already exists with different attributes"
            )

    async def delete_topic(self, call: Call) -> Result:
        """Remove a topic with its subscriptions. No error when there is none."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        await self._backend.run(self._broker.delete_topic, topic)
        return None

    async def list_topics(self, call: Call) -> Result:
        """The topics of the region, 100 at a time."""
        after = read_page(call)
        home = self._backend.region
        names = [
            name
            for name in await self._backend.run(self._broker.topics)
            if wire_topic(name, home)[0] == call.region and name > after
        ]
        page = names[:PAGE]
        return {
            "Topics": [{"TopicArn": self._backend.arn_of_topic(name)} for name in page],
            "NextToken": write_token(page[-1]) if len(names) > PAGE else None,
        }

    # ---- attributes -------------------------------------------------------------------------
    async def get_topic_attributes(self, call: Call) -> Result:
        """What a topic is, with what SNS reckons itself."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        return {"Attributes": await self._backend.run(self._show, topic)}

    def _show(self, topic: str) -> dict[str, str]:
        settings = self._broker.topic_settings(topic)
        arn = self._backend.arn_of_topic(topic)
        pending = [one.pending for one in self._broker.subscriptions(topic)]
        return {
            "TopicArn": arn,
            "Owner": self._backend.account,
            "Policy": settings.policy or default_policy(arn, self._backend.account),
            "SubscriptionsConfirmed": str(pending.count(False)),
            "SubscriptionsPending": str(pending.count(True)),
            "SubscriptionsDeleted": "0",
            "EffectiveDeliveryPolicy": show_topic_policy(settings.others.get("DeliveryPolicy")),
            **show_attributes(topic, settings),
        }

    async def set_topic_attributes(self, call: Call) -> Result:
        """Change one attribute."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        name, text = call.params["AttributeName"], call.params.get("AttributeValue", "")

        def change(settings: TopicSettings) -> TopicSettings:
            changed = set_attribute(settings, name, text, is_fifo(topic))
            if changed.max_message_bytes > LARGE:
                subscriptions = self._broker.subscriptions(topic)
                check_large(len(subscriptions), {one.protocol for one in subscriptions})
            return changed

        await self._backend.together(self._change, topic, change)
        return None

    def _change(self, topic: str, change: Callable[[TopicSettings], TopicSettings]) -> None:
        settings = self._broker.topic_settings(topic)
        changed = change(settings)
        if changed != settings:
            self._broker.set_topic(topic, changed)

    # ---- permissions ------------------------------------------------------------------------
    async def add_permission(self, call: Call) -> Result:
        """Add a statement to the topic's policy."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        label = call.params["Label"]
        accounts, names = call.params["AWSAccountId"], call.params["ActionName"]
        arn = self._backend.arn_of_topic(topic)
        await self._backend.together(
            self._change_policy,
            topic,
            lambda policy: add_statement(policy, label, accounts, names, arn, "sns"),
        )
        return None

    async def remove_permission(self, call: Call) -> Result:
        """Take a statement out of the topic's policy."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        label = call.params["Label"]
        await self._backend.together(
            self._change_policy, topic, lambda policy: remove_statement(policy, label)
        )
        return None

    def _change_policy(self, topic: str, change: Callable[[str], str]) -> None:
        arn = self._backend.arn_of_topic(topic)

        def changed(settings: TopicSettings) -> TopicSettings:
            policy = settings.policy or default_policy(arn, self._backend.account)
            try:
                return replace(settings, policy=change(policy) or None)
            except PolicyError as error:
                text = error.message.removeprefix("Invalid parameter: ")
                raise invalid_parameter(text) from None

        self._change(topic, changed)

    # ---- tags -------------------------------------------------------------------------------
    async def tag_resource(self, call: Call) -> Result:
        """Set tags of a topic."""
        topic, tags = self._resource(call), _read_tags(call.params["Tags"])
        await self._backend.run(self._on_resource, self._tag, topic, tags)
        return {}

    async def untag_resource(self, call: Call) -> Result:
        """Remove tags of a topic."""
        topic = self._resource(call)
        gone = dict.fromkeys(call.params["TagKeys"])
        await self._backend.run(self._on_resource, self._tag, topic, gone)
        return {}

    async def list_tags_for_resource(self, call: Call) -> Result:
        """The tags of a topic."""
        topic = self._resource(call)
        described = await self._backend.run(self._on_resource, self._broker.describe_topic, topic)
        return {"Tags": [{"Key": key, "Value": text} for key, text in described.tags.items()]}

    def _resource(self, call: Call) -> str:
        try:
            return self._backend.topic_of_arn(call.params["ResourceArn"], call, "ResourceArn")
        except WireError as error:
            raise (_no_resource() if error.status == 404 else error) from None

    @staticmethod
    def _on_resource(verb: Callable[..., Any], topic: str, *args: Any) -> Any:
        try:
            return verb(topic, *args)
        except TopicNotFound:
            raise _no_resource() from None

    def _tag(self, topic: str, tags: Mapping[str, str | None]) -> None:
        try:
            self._broker.tag_topic(topic, tags)
        except LimitExceeded:
            raise service_error(
                "sns",
                "TagLimitExceededException",
                "Could not complete request: tag quota of per resource exceeded",
            ) from None


class _Reasons:
    """Calls something; what it refuses as `Invalid parameter: X` becomes `Invalid parameter:
    <prefix>X`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __call__(self, verb: Callable[..., Any], *args: Any) -> Any:
        try:
            return verb(*args)
        except WireError as error:
            text = error.message.removeprefix("Invalid parameter: ")
            raise invalid_parameter(self._prefix + text) from None


def read_page(call: Call) -> str:
    """What `NextToken` of a call stands for; "" at the start."""
    try:
        return read_token(call.params.get("NextToken"))
    except WireError:
        raise invalid_parameter("NextToken") from None


def check_large(subscriptions: int, protocols: set[str]) -> None:
    """Raise WireError when a topic with these subscriptions cannot take messages over 256 KiB."""
    if subscriptions > MOST_OF_LARGE or protocols - {"sqs"}:
        raise invalid_parameter(
            "MaximumMessageSize Reason: a topic above 256 KiB must have 100 or fewer "
            "subscriptions, and each must be an Amazon SQS subscription"
        )


def refuse_data_protection(policy: str | None = "") -> None:
    """Raise WireError unless `policy` is None: this server scans no messages."""
    if policy is not None:
        raise common_error(
            "InvalidAction", "Data protection policies are not supported by this server."
        )


def _read_tags(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in tags:
        key, text = tag["Key"], tag["Value"]
        if key in found:
            raise invalid_parameter("Duplicated keys are not allowed.")
        if not 1 <= len(key) <= 128 or len(text) > 256 or not _TAG.fullmatch(key + text):
            raise invalid_parameter(f"Tags Reason: the tag {key} is not valid")
        if key.lower().startswith("aws:"):
            raise invalid_parameter("Tags Reason: tag keys cannot start with aws:")
        found[key] = text
    return found


def _no_resource() -> WireError:
    return service_error("sns", "ResourceNotFoundException", "Resource does not exist")
