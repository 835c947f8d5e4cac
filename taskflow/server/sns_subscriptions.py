"""The SNS actions on subscriptions.

https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace

from taskflow.broker.settings import TopicSubscription
from taskflow.message import Message, new_id
from taskflow.server.backend import Backend
from taskflow.server.delivery_policy import show_subscription_policy
from taskflow.server.paging import write_token
from taskflow.server.sns_subscription_attributes import (
    read_endpoint,
    set_attribute,
    set_attributes,
)
from taskflow.server.sns_topics import LARGE, PAGE, check_large, read_page
from taskflow.server.wire_call import Call, Result
from taskflow.text import shown_endpoint
from taskflow.wire.envelope import wire_topic
from taskflow.wire.error_codes import invalid_parameter, service_error
from taskflow.wire.names import parse_arn
from taskflow.wire.subscription_attributes import write_subscription

_AUTHENTICATED = "ConfirmationWasAuthenticated"
_GUARDED = "AuthenticateOnUnsubscribe"


class SubscriptionActions:
    """One method per operation; each takes a Call and answers the operation's output."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker

    # ---- subscribe --------------------------------------------------------------------------
    async def subscribe(self, call: Call) -> Result:
        """Subscribe a queue, or ask a URL whether it wants to be."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        await self._backend.run(self._broker.topic_settings, topic)
        protocol, endpoint = call.params["Protocol"], call.params.get("Endpoint", "")
        new = TopicSubscription(
            new_id(call.now, self._broker.random),
            topic,
            protocol,
            read_endpoint(protocol, endpoint, topic, self._backend),
            raw=False,
            pending=protocol != "sqs",
            others={_AUTHENTICATED: "true"} if protocol == "sqs" else {},
        )
        attributes = call.params.get("Attributes", {})
        found = await self._backend.together(self._subscribe, new, attributes)
        await self._backend.run(self._ask, found)
        shown = not found.pending or call.params.get("ReturnSubscriptionArn")
        return {"SubscriptionArn": self._arn(found) if shown else "pending confirmation"}

    def _subscribe(self, new: TopicSubscription, attributes: dict[str, str]) -> TopicSubscription:
        settings = self._broker.topic_settings(new.topic)
        subscriptions = self._broker.subscriptions(new.topic)
        found = next((one for one in subscriptions if _same_endpoint(one, new)), None)
        changed = set_attributes(found or new, attributes, self._backend)
        if found is not None and changed != found:
            raise invalid_parameter(
                "Attributes Reason: Subscription already exists with different attributes"
            )
        if found is None:
            if settings.max_message_bytes > LARGE:
                check_large(len(subscriptions) + 1, {new.protocol})
            if changed.pending:
                changed = replace(changed, token=secrets.token_hex(64))
            self._broker.put_subscription(changed)
        return changed

    def _ask(self, one: TopicSubscription) -> None:
        """Let the owner of a URL confirm it, unless somebody is asking already."""
        if one.pending and not self._broker.peek(one.queue, 1):
            # Under no topic: that is how the one who calls URLs tells it from a notification.
            ask = Message(new_id(self._broker.clock.now(), self._broker.random), one.id)
            self._broker.send(one.queue, [ask])

    async def confirm_subscription(self, call: Call) -> Result:
        """The owner of a URL wants the messages; the token proves who it is."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        signed = "true" if call.signed and call.caller.access_key_id else "false"
        others = {_AUTHENTICATED: signed}
        if call.params.get("AuthenticateOnUnsubscribe", "").lower() == "true":
            others[_GUARDED] = "true"

        def confirm() -> TopicSubscription:
            token = call.params["Token"].encode()
            for one in self._broker.subscriptions(topic):  # none of an unknown topic
                if one.token and secrets.compare_digest(one.token.encode(), token):
                    if not one.pending:
                        return one
                    confirmed = replace(one, pending=False, others={**one.others, **others})
                    self._broker.put_subscription(confirmed)
                    return confirmed
            raise invalid_parameter("Token")

        return {"SubscriptionArn": self._arn(await self._backend.together(confirm))}

    async def unsubscribe(self, call: Call) -> Result:
        """Remove a subscription. No error when there is none."""
        topic, id = self._read_arn(call)

        def unsubscribe() -> None:
            found = self._find(topic, id)
            if found is None:
                return
            # A queue was subscribed by who owns it; whoever reads its messages sees the link.
            guarded = found.others.get(_GUARDED) or found.protocol == "sqs"
            if guarded and not (call.signed and call.caller.access_key_id):
                raise service_error(
                    "sns",
                    "AuthorizationErrorException",
                    "This subscription can only be removed by a signed request",
                )
            self._broker.unsubscribe(id)

        await self._backend.run(unsubscribe)
        return None

    # ---- list -------------------------------------------------------------------------------
    async def list_subscriptions(self, call: Call) -> Result:
        """The subscriptions of the region, 100 at a time."""
        found = await self._backend.run(self._broker.subscriptions)
        home = self._backend.region
        return self._list(
            call, [one for one in found if wire_topic(one.topic, home)[0] == call.region]
        )

    async def list_subscriptions_by_topic(self, call: Call) -> Result:
        """The subscriptions of a topic, 100 at a time."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        await self._backend.run(self._broker.topic_settings, topic)
        return self._list(call, await self._backend.run(self._broker.subscriptions, topic))

    def _list(self, call: Call, found: Sequence[TopicSubscription]) -> Result:
        after = read_page(call)
        keyed = sorted((f"{one.topic}\n{one.endpoint}\n{one.id}", one) for one in found)
        rest = [(key, one) for key, one in keyed if key > after]
        return {
            "Subscriptions": [
                {
                    "SubscriptionArn": "PendingConfirmation" if one.pending else self._arn(one),
                    "Owner": self._backend.account,
                    "Protocol": one.protocol,
                    "Endpoint": shown_endpoint(self._endpoint(one)),
                    "TopicArn": self._backend.arn_of_topic(one.topic),
                }
                for _, one in rest[:PAGE]
            ],
            "NextToken": write_token(rest[PAGE - 1][0]) if len(rest) > PAGE else None,
        }

    # ---- attributes -------------------------------------------------------------------------
    async def get_subscription_attributes(self, call: Call) -> Result:
        """What a subscription is."""
        topic, id = self._read_arn(call)
        return {"Attributes": await self._backend.run(self._show, topic, id)}

    def _show(self, topic: str, id: str) -> dict[str, str]:
        one = self._must_find(topic, id)
        shown = {
            **write_subscription(one, self._backend.arn_of_queue),
            "SubscriptionArn": self._arn(one),
            "TopicArn": self._backend.arn_of_topic(topic),
            "Owner": self._backend.account,
            "SubscriptionPrincipal": f"arn:aws:iam::{self._backend.account}:root",
            "Protocol": one.protocol,
            "Endpoint": shown_endpoint(self._endpoint(one)),
            "RawMessageDelivery": str(one.raw).lower(),
            "PendingConfirmation": str(one.pending).lower(),
            _AUTHENTICATED: one.others.get(_AUTHENTICATED, str(one.protocol == "sqs").lower()),
        }
        if one.protocol != "sqs":
            default = self._broker.topic_settings(topic).others.get("DeliveryPolicy")
            own = one.others.get("DeliveryPolicy")
            shown["EffectiveDeliveryPolicy"] = show_subscription_policy(own, default)
        return shown

    async def set_subscription_attributes(self, call: Call) -> Result:
        """Change one attribute. It holds for what is published from now on."""
        topic, id = self._read_arn(call)
        name, text = call.params["AttributeName"], call.params.get("AttributeValue", "")

        def change() -> None:
            found = self._must_find(topic, id)
            changed = set_attribute(found, name, text, self._backend)
            self._broker.put_subscription(changed)

        await self._backend.together(change)
        return None

    # ---- small parts ------------------------------------------------------------------------
    def _arn(self, one: TopicSubscription) -> str:
        return f"{self._backend.arn_of_topic(one.topic)}:{one.id}"

    def _endpoint(self, one: TopicSubscription) -> str:
        return self._backend.arn_of_queue(one.endpoint) if one.protocol == "sqs" else one.endpoint

    def _read_arn(self, call: Call) -> tuple[str, str]:
        arn = call.params["SubscriptionArn"]
        if parse_arn(arn, "SubscriptionArn").resource.count(":") != 1:
            raise invalid_parameter("SubscriptionId")
        topic, _, id = arn.rpartition(":")
        return self._backend.topic_of_arn(topic, call, "SubscriptionArn"), id

    def _find(self, topic: str, id: str) -> TopicSubscription | None:
        return next((one for one in self._broker.subscriptions(topic) if one.id == id), None)

    def _must_find(self, topic: str, id: str) -> TopicSubscription:
        found = self._find(topic, id)
        if found is None:
            raise service_error("sns", "NotFoundException", "Subscription does not exist")
        return found


def _same_endpoint(one: TopicSubscription, other: TopicSubscription) -> bool:
    return (one.protocol, one.endpoint) == (other.protocol, other.endpoint)
