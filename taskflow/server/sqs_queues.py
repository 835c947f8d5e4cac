"""The SQS actions that manage queues: create, configure, list, tag, purge, permit.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from taskflow.broker import QueueSettings
from taskflow.errors import LimitExceeded, QueueExists, QueueNotFound
from taskflow.limits import MAX_TAGS, is_fifo
from taskflow.server.backend import Backend
from taskflow.server.paging import read_token, write_token
from taskflow.server.sqs_attributes import (
    KNOWN,
    READ_ONLY,
    read_attributes,
    same_attribute,
    show_settings,
    write_attributes,
)
from taskflow.server.wire_call import Call, Result
from taskflow.wire.error_codes import (
    WireError,
    common_error,
    invalid_value,
    missing_parameter,
    service_error,
)
from taskflow.wire.names import check_queue_name, wire_queue
from taskflow.wire.policies import PolicyError, add_statement, remove_statement

PURGE_INTERVAL = 60.0
PURGE_CHUNK = 500  # messages of one transaction: everybody else waits for that long
MAX_PAGE = 1000


class QueueActions:
    """One method per operation; each takes a Call and answers the operation's output."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker

    # ---- create and configure ---------------------------------------------------------------
    async def create_queue(self, call: Call) -> Result:
        attributes = dict(call.params.get("Attributes", {}))
        name, fifo = call.params["QueueName"], attributes.pop("FifoQueue", None)
        fifo = fifo if fifo is None else fifo.lower()
        if fifo not in (None, "true") or (fifo and not name.endswith(".fifo")):
            if fifo == "false" or fifo is None:
                raise service_error("sqs", "InvalidAttributeName", "Unknown Attribute FifoQueue.")
            check_queue_name(name, True)
            raise service_error(
                "sqs", "InvalidAttributeValue", "Invalid value for the parameter FifoQueue."
            )
        check_queue_name(name, fifo == "true")
        if wrong := [one for one in attributes if one in READ_ONLY]:
            raise service_error("sqs", "InvalidAttributeName", f"Unknown Attribute {wrong[0]}.")
        queue = self._backend.queue_named(name, call)
        tags = dict(call.params.get("tags", {}))
        _check_tags(tags, name)
        await self._backend.run(self._create, queue, attributes, tags)
        return {"QueueUrl": self._backend.url_of(queue, call)}

    def _create(self, queue: str, attributes: Mapping[str, str], tags: Mapping[str, str]) -> None:
        for _ in range(3):  # somebody else may create it at the same time
            try:
                settings = self._broker.settings(queue)
            except QueueNotFound:
                wanted = read_attributes(attributes, QueueSettings(), queue, self._backend)
                try:
                    self._broker.create_queue(queue, wanted)
                except QueueExists:
                    continue
                if tags:
                    self._broker.tag_queue(queue, tags)
                return
            if tags and tags != self._broker.describe_queue(queue).tags:
                raise _taken("tags")
            shown = show_settings(queue, settings, self._backend)
            read_attributes(attributes, settings, queue, self._backend)
            for name, text in attributes.items():
                if not same_attribute(name, text, shown.get(name)):
                    raise _taken(f"attribute {name}")
            return

    async def delete_queue(self, call: Call) -> Result:
        await self._backend.run(self._broker.delete_queue, self._backend.queue_of(call))
        return None

    async def get_queue_url(self, call: Call) -> Result:
        owner = call.params.get("QueueOwnerAWSAccountId", call.account)
        queue = self._backend.queue_named(call.params["QueueName"], call)
        await self._backend.run(self._broker.settings, queue)
        if owner != self._backend.account:
            raise service_error("sqs", "QueueDoesNotExist")
        return {"QueueUrl": self._backend.url_of(queue, call)}

    async def get_queue_attributes(self, call: Call) -> Result:
        wanted = call.params.get("AttributeNames", [])
        texts = await self._backend.run(self._attributes, self._backend.queue_of(call), wanted)
        return {"Attributes": texts or None}

    def _attributes(self, queue: str, wanted: list[str]) -> dict[str, str]:
        settings = self._broker.settings(queue)
        described = self._broker.describe_queue(queue)
        return write_attributes(
            queue, settings, described, lambda: self._broker.counts(queue), wanted, self._backend
        )

    async def set_queue_attributes(self, call: Call) -> Result:
        attributes = call.params["Attributes"]
        queue = self._backend.queue_of(call)
        for name in attributes:
            if name in READ_ONLY or name not in KNOWN:
                raise service_error("sqs", "InvalidAttributeName", f"Unknown Attribute {name}.")
        if "FifoQueue" in attributes:
            if not is_fifo(queue):
                raise service_error("sqs", "InvalidAttributeName", "Unknown Attribute FifoQueue.")
            if attributes["FifoQueue"].lower() != "true":
                text = "Invalid value for the parameter FifoQueue."
                raise service_error(
                    "sqs",
                    "InvalidAttributeValue",
                    f"{text} Reason: Modifying queue type is not supported.",
                )
        await self._backend.together(self._set, queue, attributes)
        return None

    def _set(self, queue: str, attributes: Mapping[str, str]) -> None:
        settings = self._broker.settings(queue)
        changed = read_attributes(attributes, settings, queue, self._backend)
        self._broker.set_queue(queue, changed)

    # ---- list and tag -----------------------------------------------------------------------
    async def list_queues(self, call: Call) -> Result:
        prefix = call.params.get("QueueNamePrefix", "")
        urls, token = await self._backend.run(self._page, call, prefix, None)
        return {"QueueUrls": urls or None, "NextToken": token}

    async def list_dead_letter_source_queues(self, call: Call) -> Result:
        target = self._backend.queue_of(call)
        await self._backend.run(self._broker.settings, target)
        urls, token = await self._backend.run(self._page, call, "", target)
        return {"queueUrls": urls, "NextToken": token}

    def _page(self, call: Call, prefix: str, target: str | None) -> tuple[list[str], str | None]:
        most = call.params.get("MaxResults", MAX_PAGE)
        if not 1 <= most <= MAX_PAGE:
            raise invalid_value(
                most, "MaxResults", f"Must be between 1 and {MAX_PAGE}, if provided."
            )
        after = read_token(call.params.get("NextToken"))
        found = []
        for queue in self._broker.queues():
            region, name = wire_queue(queue, self._backend.region)
            if region != call.region or not name.startswith(prefix) or name <= after:
                continue
            if target is None or self._dead_letter_queue_of(queue) == target:
                found.append((name, self._backend.url_of(queue, call)))
        found.sort()
        more = len(found) > most
        if more and "MaxResults" not in call.params:
            more = False  # without MaxResults AWS answers the first thousand and no token
        token = write_token(found[most - 1][0]) if more else None
        return [url for _, url in found[:most]], token

    def _dead_letter_queue_of(self, queue: str) -> str | None:
        try:
            return self._broker.settings(queue).dead_letter_queue
        except QueueNotFound:  # deleted since it was listed
            return None

    async def tag_queue(self, call: Call) -> Result:
        tags = dict(call.params["Tags"])
        if not tags:
            raise missing_parameter("Tags")
        await self._backend.run(self._tag, self._backend.queue_of(call), tags)
        return None

    async def untag_queue(self, call: Call) -> Result:
        tags = dict.fromkeys(call.params["TagKeys"])
        if not tags:
            raise WireError(
                "InvalidParameterValue", "Tag keys must be between 1 and 128 characters in length."
            )
        await self._backend.run(self._tag, self._backend.queue_of(call), tags)
        return None

    def _tag(self, queue: str, tags: Mapping[str, str | None]) -> None:
        _, name = wire_queue(queue, self._backend.region)
        _check_tags(tags, name)
        try:
            self._broker.tag_queue(queue, tags)
        except LimitExceeded:
            raise _too_many_tags(name) from None

    async def list_queue_tags(self, call: Call) -> Result:
        described = await self._backend.run(
            self._broker.describe_queue, self._backend.queue_of(call)
        )
        return {"Tags": dict(described.tags) or None}

    # ---- purge ------------------------------------------------------------------------------
    async def purge_queue(self, call: Call) -> Result:
        queue = self._backend.queue_of(call)
        described = await self._backend.run(self._broker.describe_queue, queue)
        if described.purged_at and 0 <= call.now - described.purged_at < PURGE_INTERVAL:
            _, name = wire_queue(queue, self._backend.region)
            raise service_error(
                "sqs",
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {name} is allowed every 60 seconds.",
            )
        await self._backend.run(self._broker.purged, queue)
        while await self._backend.run(self._broker.purge, queue, (), PURGE_CHUNK) == PURGE_CHUNK:
            pass
        return None

    # ---- permissions ------------------------------------------------------------------------
    async def add_permission(self, call: Call) -> Result:
        queue = self._backend.queue_of(call)
        await self._backend.run(self._broker.settings, queue)
        params = call.params
        label, accounts, names = params["Label"], params["AWSAccountIds"], params["Actions"]
        arn = self._backend.arn_of_queue(queue)
        await self._backend.together(
            self._change_policy,
            queue,
            lambda policy: add_statement(policy, label, accounts, names, arn, "sqs"),
        )
        return None

    async def remove_permission(self, call: Call) -> Result:
        label = call.params["Label"]
        await self._backend.together(
            self._change_policy,
            self._backend.queue_of(call),
            lambda policy: remove_statement(policy, label),
        )
        return None

    def _change_policy(self, queue: str, change: Callable[[str], str]) -> None:
        settings = self._broker.settings(queue)
        try:
            policy = change(settings.policy or "") or None
        except PolicyError as error:
            raise WireError(error.code, error.message, status=error.status) from None
        self._broker.set_queue(queue, replace(settings, policy=policy))


def _taken(what: str) -> WireError:
    text = f"A queue already exists with the same name and a different value for {what}"
    return service_error("sqs", "QueueNameExists", text)


def _check_tags(tags: Mapping[str, str | None], queue: str) -> None:
    if len(tags) > MAX_TAGS:
        raise _too_many_tags(queue)
    for key, value in tags.items():
        if not 1 <= len(key) <= 128:
            text = "Tag keys must be between 1 and 128 characters in length."
            raise common_error("InvalidParameterValue", text)
        if len(value or "") > 256:
            text = "Tag values must be between 0 and 256 characters in length."
            raise common_error("InvalidParameterValue", text)


def _too_many_tags(queue: str) -> WireError:
    return common_error("InvalidParameterValue", f"Too many tags added for queue {queue}.")
