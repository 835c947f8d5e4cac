"""boto3: the one file that imports it. Calls of SNS, SQS and STS, and their errors in our words."""

# botocore has no types.
# mypy: allow-untyped-calls

import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import boto3.session
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    UnknownRegionError,
)
from botocore.parsers import ResponseParserError

from taskflow import forking
from taskflow.errors import (
    BrokerError,
    BrokerUnavailable,
    ConfigError,
    InvalidFilterPolicy,
    LimitExceeded,
    OverLimit,
    QueueNotFound,
    TopicNotFound,
)
from taskflow.limits import MAX_IN_FLIGHT, MAX_RECEIVE_WAIT
from taskflow.uninterrupted import uninterrupted

# It tells at each start where it found credentials, in a line above our own.
logging.getLogger("botocore.credentials").setLevel(logging.WARNING)

Service = Literal["sns", "sqs", "sts", "dynamodb", "s3", "iam"]
_NEIGHBOURS = ("dynamodb", "s3")
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = MAX_RECEIVE_WAIT + 15  # a long poll answers after 20 s; give the network some
CONNECTIONS = 50  # per service: polls of all queues at once, and the rest beside them

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
_NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
_NO_TOPIC = ("NotFound", "NotFoundException")
_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "KMSAccessDenied")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN_CALLER = (
    *("InvalidClientTokenId", "UnrecognizedClientException", "MissingAuthenticationToken"),
    *("MissingAuthenticationTokenException", "SignatureDoesNotMatch", "InvalidSignatureException"),
    *("IncompleteSignature", "InvalidAccessKeyId", "InvalidSecurity", "OptInRequired"),
)
_BUSY = (
    *("Throttling", "ThrottlingException", "Throttled", "ThrottledException", "RequestThrottled"),
    *("RequestLimitExceeded", "TooManyRequestsException", "ServiceUnavailable", "InternalFailure"),
    *("InternalError", "KmsThrottled", "KMSThrottling", "ProvisionedThroughputExceededException"),
)
_LATER = (
    *("AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress"),
    *("AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently"),
)
_PERMANENT_S3 = ("NoSuchKey", "EntityTooLarge", "InvalidObjectName")
_NOT_OURS = ("", "Unknown", "InvalidAction", "UnknownOperation", "UnknownOperationException")
_FULL = ("OverLimit", "AWS.SimpleQueueService.OverLimit")
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_OTHERS_CHANGE = (
    *("ConditionalCheckFailed", "TransactionConflict", "TransactionInProgress"),
    *("TransactionConflictException", "TransactionInProgressException"),
)
_BUSY_ITEMS = ("ThrottlingError", "ProvisionedThroughputExceeded")


@cache
def _models() -> Any:
    """AWS's service models: read once, for all brokers of the process."""
    return botocore.session.get_session().get_component("data_loader")


def _new_session(region: str) -> boto3.session.Session:
    inner = botocore.session.get_session()
    inner.register_component("data_loader", _models())
    return boto3.session.Session(botocore_session=inner, region_name=region)


class ConditionFailed(Exception):
    """A conditional write to DynamoDB found another item (`item`), or another write on its way to
    it. No error, but an answer."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        super().__init__("the condition of a write does not hold")
        self.item = item


class Api:
    """SNS, SQS and their neighbours in one region, credentials as boto3 finds them. Thread-safe.

    `clients` are boto3's, by service, made when first asked for. Throttling and a network that
    fails are tried again by botocore (adaptive mode, AWS_MAX_ATTEMPTS) before they are an error.
    Raises ConfigError for a region that no AWS partition has; behind an `endpoint` any will do.
    """

    def __init__(self, region: str, endpoint: str | None = None) -> None:
        self.region = region
        self.endpoint = endpoint
        self._session: Any
        self.clients: dict[Service, Any]
        self._making: threading.RLock
        # Connections, and locks of credentials: a fork has its own.
        forking.anew(self, _session=lambda: None, clients=dict, _making=threading.RLock)
        self.partition = self._find_partition()
        for service in ("sns", "sqs"):  # a wrong address is told at once
            self.client(service)

    def _find_partition(self) -> str:
        session = self._session = _new_session(self.region)
        try:
            partition = str(session.get_partition_for_region(self.region))
        except UnknownRegionError:
            partition = ""
        if self.endpoint is not None:
            return partition or "aws"
        known = session.get_available_regions("sqs", partition or "aws")
        if self.region not in known:
            raise ConfigError(
                f"aws://{self.region}: no AWS region of that name; known: {', '.join(known)}"
            )
        return partition

    @uninterrupted
    def client(self, service: Service) -> Any:
        """boto3's client of a service. Raises ConfigError for an endpoint that is no URL."""
        found = self.clients.get(service)
        if found is None:
            with self._making:
                found = self.clients.get(service) or self._make_client(service)
        return found

    def _make_client(self, service: Service) -> Any:
        endpoint = self.endpoint
        if service in _NEIGHBOURS and f"AWS_ENDPOINT_URL_{service.upper()}" in os.environ:
            endpoint = None  # boto3 takes that one
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "adaptive"},
            user_agent_extra="taskflow",
            s3={"addressing_style": "auto" if endpoint is None else "path"},
        )
        if self._session is None:  # of this process
            self._session = _new_session(self.region)
        try:
            made = self._session.client(service, endpoint_url=endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"aws://{self.region}: {error}") from error
        self.clients[service] = made
        return made

    @uninterrupted
    def call(self, service: Service, method: str, resource: str = "", **params: Any) -> Any:
        """Call a method of a client; `resource` is our name of the queue or topic concerned.

        Raises QueueNotFound, TopicNotFound, OverLimit, InvalidFilterPolicy, LimitExceeded (what
        else AWS refuses), and BrokerUnavailable for all that may be better later.
        """
        client = self.client(service)
        try:
            answer = getattr(client, method)(**params)
        except ClientError as error:
            action = f"{service}:{error.operation_name}"
            raise _translate(error, service, action, resource, self._where(client)) from error
        except ParamValidationError as error:
            raise LimitExceeded(f"{service}:{method}: {_one_line(error)}") from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise BrokerUnavailable(
                f"AWS credentials: {_one_line(error)}; set AWS_PROFILE, AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or give the machine a role"
            ) from error
        except (ResponseParserError, KeyError) as error:  # the parser misses an element
            raise BrokerUnavailable(_not_aws(self._where(client), service)) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise BrokerUnavailable(f"{self._where(client)}: {_one_line(error)}") from error
        headers = answer["ResponseMetadata"].get("HTTPHeaders", {})
        if service == "sqs" and headers.get("content-type", "").startswith("text/html"):
            raise BrokerUnavailable(_not_aws(self._where(client), service))
        return answer

    @staticmethod
    def _where(client: Any) -> str:
        return str(client.meta.endpoint_url)

    @uninterrupted
    def read_object(self, bucket: str, key: str) -> bytes:
        """What an object of S3 holds. Raises LimitExceeded when it is not there."""
        answer = self.call("s3", "get_object", f"{bucket}/{key}", Bucket=bucket, Key=key)
        try:
            content: bytes = answer["Body"].read()
        except (BotoCoreError, HTTPClientError, OSError) as error:
            where = f"s3:GetObject on {bucket}/{key}"
            raise BrokerUnavailable(f"{where}: {_one_line(error)}") from error
        return content

    def watch_requests(self, heard: Callable[[str, str], None]) -> None:
        """Call `heard(service, operation)` before each request: what AWS bills."""
        for service, client in self.clients.items():
            client.meta.events.register(
                "before-call",
                lambda model, service=service, **_: heard(service, model.name),
            )

    def close(self) -> None:
        """Close idle connections."""
        for client in self.clients.values():
            client.close()


def _translate(
    error: ClientError, service: Service, action: str, resource: str, where: str
) -> BrokerError | ConditionFailed:
    answer = error.response.get("Error", {})
    code, text = str(answer.get("Code", "")), _one_line(answer.get("Message") or error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = code.rpartition("#")[2]
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(error.response.get("Item") or {})
    reasons = [str(one.get("Code")) for one in error.response.get("CancellationReasons", ())]
    if code in _OTHERS_CHANGE or any(one in _OTHERS_CHANGE for one in reasons):
        return ConditionFailed({})
    on = f" on {resource!r}" if resource else ""
    if code in _NO_QUEUE:
        return QueueNotFound(resource)
    if service == "sns" and code in _NO_TOPIC:
        return TopicNotFound(resource)
    if code in _DENIED:
        return BrokerUnavailable(f"AWS does not allow {action}{on}: {text}")
    if code in _EXPIRED:
        return BrokerUnavailable(f"the AWS credentials have expired ({action}{on}): {text}")
    if code in _UNKNOWN_CALLER:
        return BrokerUnavailable(f"AWS does not know the credentials ({action}{on}): {text}")
    if code in _FULL:
        return OverLimit(f"queue {resource!r} has {MAX_IN_FLIGHT} messages in flight: {text}")
    if service == "s3" and code not in _PERMANENT_S3:
        return BrokerUnavailable(f"{action}{on}: {text}")
    if any(one in _BUSY_ITEMS for one in reasons):
        return BrokerUnavailable(f"{action}{on}: {code}: {text}")
    if code in _BUSY or code in _LATER or status >= 500 or status == 429:
        return BrokerUnavailable(f"{action}{on}: {code}: {text}")
    if code.isdigit() or code in _NOT_OURS:
        return BrokerUnavailable(f"{_not_aws(where, service)} ({action}: {code} {text})")
    if "ilter" in text and "olicy" in text:
        return InvalidFilterPolicy(text)
    return LimitExceeded(f"{action}{on}: {text}")


def _not_aws(where: str, service: str) -> str:
    return f"{where} does not answer as {service.upper()} does: is it an SNS/SQS endpoint?"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
