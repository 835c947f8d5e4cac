"""Who may: signatures and keys before an action, queue and topic policies within it.

Without keys every signature, or none, is accepted: the server then listens on loopback only. What
a browser sends on behalf of another site is refused either way.
"""

import inspect
import json
from collections.abc import Mapping
from typing import Any

from taskflow.errors import InvalidName, QueueNotFound, TopicNotFound
from taskflow.server.access_key import allows
from taskflow.server.auth_error import AuthError, denied, unknown_key
from taskflow.server.backend import Backend
from taskflow.server.keys import Keys
from taskflow.server.origin import is_foreign, is_from_program, is_known_host
from taskflow.server.protocol import HttpRequest
from taskflow.server.signature_claim import Request, read_scope, scope_of
from taskflow.server.signing import verify
from taskflow.server.sqs_moves import read_handle
from taskflow.server.wire_call import Action, Call, Caller, Result
from taskflow.wire.envelope import wire_topic
from taskflow.wire.error_codes import WireError, common_error
from taskflow.wire.policies import PolicyError, parse_policy

MAX_KEY_ID = 128  # characters, as in IAM: what is not verified is kept with messages all the same
# Links in SNS messages that their receiver follows without a signature.
UNSIGNED = frozenset({("sns", "ConfirmSubscription"), ("sns", "Unsubscribe")})
# What a GET may ask for that nobody signed: nothing that changes anything. (A link, an image of a
# page sends one.)
_LOOKS = ("Get", "List", "CheckIf")
# The parameters that name what an action is about.
QUEUES = ("QueueUrl", "QueueName", "SourceArn", "DestinationArn", "TaskHandle")
TOPICS = ("TopicArn", "TargetArn", "Name", "ResourceArn", "SubscriptionArn")


class Access:
    """The gate of one server. `keys` is None, or has no file, for a server that is open. `url` is
    what clients are told to use, if it was said."""

    def __init__(self, backend: Backend, keys: Keys | None, url: str | None = None) -> None:
        self._backend = backend
        self._keys = keys
        self._url = url
        self._last: tuple[object, tuple[str, str, str] | None] = ((), None)

    @property
    def open(self) -> bool:
        """Whether any signature is accepted."""
        return self._keys is None or not self._keys.configured

    # ---- who asks ---------------------------------------------------------------------------
    def admit(self, request: HttpRequest) -> None:
        """Look at the head of a request for an action before its body is read, so that strangers
        fill no memory. Raises WireError."""
        self._admit(request, self.open)

    def _admit(self, request: HttpRequest, is_open: bool) -> None:
        if is_foreign(request):
            raise common_error("AccessDenied", "A browser sent this for another site.")
        if is_open:
            signed = request.header("authorization") and is_from_program(request)
            if not signed and not is_known_host(request, self._url):
                raise common_error(
                    "AccessDenied",
                    "Unsigned requests, GETs and those of browsers are answered for localhost, "
                    "127.0.0.1, [::1] and what --url says; sign it as a POST, or use one of these "
                    "as the host.",
                )
            return
        if request.method == "GET":
            return  # it has no body; `authenticate` says what is missing
        assert self._keys is not None
        try:
            scope = self.scope_of(request) or read_scope(_signed_part(request))
            if self._keys.find(scope[0]) is None:
                raise unknown_key()
        except AuthError as error:
            raise WireError(error.code, error.message, status=error.status) from None

    def authenticate(self, request: HttpRequest, service: str, action: str) -> Caller:
        """Who signed a request. Raises WireError."""
        is_open = self.open  # costs a look at the file of keys
        self._admit(request, is_open)
        if request.method != "POST" and not request.header("authorization"):
            link = (service, action) in UNSIGNED or action.startswith(_LOOKS)
            if is_open and not link:
                raise common_error(
                    "AccessDenied", f"An unsigned GET changes nothing: send {action} as POST."
                )
        account = self._backend.account
        root = Caller(account, f"arn:aws:iam::{account}:root")
        if is_open:
            scope = self.scope_of(request)
            return Caller(account, root.arn, scope[0][:MAX_KEY_ID], True) if scope else root
        if (service, action) in UNSIGNED and request.method == "GET":
            return root
        assert self._keys is not None
        try:
            signed = verify(
                _signed_part(request),
                self._keys.find,
                self._backend.broker.clock.now(),
                services=(service,),
            )
            key = self._keys.find(signed.access_key_id)
        except AuthError as error:
            raise WireError(error.code, error.message, status=error.status) from None
        name = key.name if key else signed.access_key_id
        return Caller(account, f"arn:aws:iam::{account}:user/{name}", signed.access_key_id)

    def scope_of(self, request: HttpRequest) -> tuple[str, str, str] | None:
        """Key id, region and service that a signature names; nothing is verified."""
        headers, scope = self._last
        if headers is not request.headers:  # the app asks, and `authenticate` a moment later
            scope = scope_of(_signed_part(request))
            self._last = (request.headers, scope)
        return scope

    # ---- what they may do -------------------------------------------------------------------
    def guard(self, actions: Mapping[tuple[str, str], Action]) -> dict[tuple[str, str], Action]:
        """The same actions, each refused to a caller whose key, or a policy, says no."""
        return {name: self._guarded(action) for name, action in actions.items()}

    def _guarded(self, action: Action) -> Action:
        async def guarded(call: Call) -> Result:
            caller = call.caller
            if caller.access_key_id and not caller.trusted and not self.open:
                await self._check(call)
            result = action(call)
            return await result if inspect.isawaitable(result) else result

        return guarded

    async def _check(self, call: Call) -> None:
        assert self._keys is not None
        key = self._keys.find(call.caller.access_key_id)
        if key is None:
            raise common_error("InvalidClientTokenId", "The security token is invalid.")
        wanted: list[tuple[str, str | None]] = [*self._wanted(call)]
        facts = {"aws:SecureTransport": str(call.secure).lower()}
        if call.source_ip:
            facts["aws:SourceIp"] = call.source_ip
        for service, name in wanted or [(call.service, None)]:
            policy, arn = None, "*"
            if name is not None:
                policy, arn = await self._backend.run_short(self._policy, service, name)
            asked = _as_asked(call, service)
            allowed = any(allows(key, service, asked, one) for one in _spellings(service, name))
            if policy is not None:
                try:
                    decision = parse_policy(policy).decides(
                        call.caller.arn,
                        f"{service}:{asked}",
                        arn,
                        facts,
                    )
                except PolicyError:
                    decision = "none"
                allowed = decision == "allow" or (allowed and decision == "none")
            if not allowed:
                error = denied(call.service, call.caller.arn, f"{service}:{call.action}", arn)
                raise WireError(error.code, error.message, status=error.status)

    def _wanted(self, call: Call) -> list[tuple[str, str]]:
        """(service, name in the broker) of everything a call is about."""
        found = []
        for parameter in QUEUES if call.service == "sqs" else TOPICS:
            text = call.params.get(parameter)
            if text:
                found.append((call.service, self._name(parameter, text, call)))
        if call.action == "Subscribe" and call.params.get("Protocol") == "sqs":
            found.append(("sqs", self._backend.queue_of_arn(call.params.get("Endpoint", ""))))
        if target := _dead_letter_target(call.params):
            found.append(("sqs", self._backend.queue_of_arn(target)))
        return found

    def _name(self, parameter: str, text: str, call: Call) -> str:
        match parameter:
            case "QueueUrl":
                return self._backend.queue_of(call)
            case "QueueName":
                return self._backend.queue_named(text, call)
            case "SourceArn" | "DestinationArn":
                return self._backend.queue_of_arn(text)
            case "TaskHandle":
                return self._backend.queue_of_arn(read_handle(text)[1])
            case "Name":
                return self._backend.topic_named(text, call)
            case "SubscriptionArn":
                return self._backend.topic_of_arn(text.rpartition(":")[0], call, parameter)
        return self._backend.topic_of_arn(text, call, parameter)

    def _policy(self, service: str, name: str) -> tuple[str | None, str]:
        broker = self._backend.broker
        try:
            if service == "sqs":
                return broker.settings(name).policy, self._backend.arn_of_queue(name)
            return broker.topic_settings(name).policy, self._backend.arn_of_topic(name)
        except (
            QueueNotFound,
            TopicNotFound,
            InvalidName,
        ):  # the same answer as for what is there: who may not look learns nothing
            arn_of = self._backend.arn_of_queue if service == "sqs" else self._backend.arn_of_topic
            return None, arn_of(name)


def _signed_part(request: HttpRequest) -> Request:
    return Request(request.method, request.path, request.query, request.headers, request.body)


def _spellings(service: str, name: str | None) -> list[str | None]:
    """The names that a key's globs may match: a topic's in the broker, and on the wire."""
    if service != "sns" or name is None:
        return [name]
    region, slash, plain = name.rpartition("/")
    return [name, region + slash + wire_topic(plain, "")[1]]


def _dead_letter_target(params: Mapping[str, Any]) -> str:
    """The ARN in a redrive policy that a call sets, or "": what a queue or a subscription cannot
    deliver is sent there."""
    text = dict(params.get("Attributes", {})).get("RedrivePolicy", "")
    if params.get("AttributeName") == "RedrivePolicy":
        text = params.get("AttributeValue", "")
    try:
        target = json.loads(text or "{}").get("deadLetterTargetArn", "")
    except (AttributeError, ValueError, RecursionError):  # the action says what is wrong with it
        return ""
    return target if isinstance(target, str) else ""


def _as_asked(call: Call, service: str) -> str:
    """The action whose right is needed: to subscribe a queue, or to send dead letters to it, one
    must be able to manage it."""
    return call.action if service == call.service else "SetQueueAttributes"
