"""What a client is told when the broker refuses."""

from collections.abc import Iterator, Mapping

import pytest

from taskflow.errors import (
    BrokerError,
    BrokerFileError,
    BrokerUnavailable,
    ChangeRefused,
    InvalidFilterPolicy,
    InvalidName,
    LimitExceeded,
    QueueExists,
    QueueNotFound,
    SealFailed,
    TopicNotFound,
)
from taskflow.wire.error_codes import (
    SNS_ERRORS,
    SQS_ERRORS,
    common_error,
    invalid_parameter,
    invalid_value,
    missing_parameter,
    service_error,
    translate,
)
from taskflow.wire.shapes import load_services


def all_kinds(kind: type[BrokerError]) -> Iterator[type[BrokerError]]:
    """Every broker error that can be raised; the ones with `_` are only there to share code,
    and those of other tests are none."""
    for one in kind.__subclasses__():
        # What `apply` answers with, which no action calls, and what a sender is told by itself.
        if one in (ChangeRefused, SealFailed):
            continue
        if one.__module__.startswith("taskflow.") and not one.__name__.startswith("_"):
            yield one
        yield from all_kinds(one)


@pytest.mark.parametrize("table", [SQS_ERRORS, SNS_ERRORS], ids=["sqs", "sns"])
def test_every_broker_error_has_a_code(
    table: Mapping[type[BrokerError], tuple[str, str]],
) -> None:
    assert set(table) == set(all_kinds(BrokerError)), "fill taskflow/wire/error_codes.py"


@pytest.mark.parametrize("service", ["sqs", "sns", "sts"])
@pytest.mark.parametrize("kind", SQS_ERRORS, ids=lambda kind: kind.__name__)
def test_every_code_is_one_of_the_service(kind: type[BrokerError], service: str) -> None:
    assert translate(kind("why"), service).message


def test_a_broker_error_without_a_code_is_found() -> None:
    # The base stands for it: a new class here would be found by the test above.
    found = translate(BrokerError("secret"), "sqs")
    assert (found.code, found.status) == ("InternalFailure", 500)
    assert "secret" not in found.message


@pytest.mark.parametrize(
    ("error", "service", "code", "shape", "status", "message"),
    [
        (
            QueueNotFound("q"),
            "sqs",
            "AWS.SimpleQueueService.NonExistentQueue",
            "QueueDoesNotExist",
            400,
            "The specified queue does not exist.",
        ),
        (TopicNotFound("t"), "sns", "NotFound", "NotFoundException", 404, "Topic does not exist"),
        (QueueExists("why {}"), "sqs", "QueueAlreadyExists", "QueueNameExists", 400, "why {}"),
        (
            InvalidName("why"),
            "sns",
            "InvalidParameter",
            "InvalidParameterException",
            400,
            "Invalid parameter: Topic Name",
        ),
        (
            LimitExceeded("too long"),
            "sqs",
            "InvalidParameterValue",
            "InvalidParameterValueException",
            400,
            "too long",
        ),
        (
            InvalidFilterPolicy("FilterPolicy: too complex"),
            "sns",
            "InvalidParameter",
            "InvalidParameterException",
            400,
            "Invalid parameter: Attributes Reason: FilterPolicy: too complex",
        ),
        (
            BrokerUnavailable("locked"),
            "sqs",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            503,
            None,
        ),
        (BrokerFileError("full"), "sns", "InternalFailure", "InternalFailure", 500, None),
    ],
)
def test_what_is_told(
    error: BrokerError, service: str, code: str, shape: str, status: int, message: str | None
) -> None:
    found = translate(error, service)
    assert (found.code, found.shape, found.status) == (code, shape, status)
    assert found.sender == (status < 500)
    assert found.message == message or message is None
    # What went wrong inside is for the log alone.
    assert status < 500 or str(error) not in found.message


@pytest.mark.parametrize(
    ("shape", "code", "status"),
    [
        ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400),
        ("QueueNameExists", "QueueAlreadyExists", 400),
        ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403),
        ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", 400),
        (
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            400,
        ),
        ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", 400),
        ("InvalidAttributeName", "InvalidAttributeName", 400),
        ("ResourceNotFoundException", "ResourceNotFoundException", 404),
        ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
    ],
)
def test_codes_of_sqs(shape: str, code: str, status: int) -> None:
    error = service_error("sqs", shape, "m")
    assert (error.code, error.shape, error.status, error.sender) == (code, shape, status, True)


@pytest.mark.parametrize(
    ("shape", "code", "status"),
    [
        ("NotFoundException", "NotFound", 404),
        ("InvalidParameterException", "InvalidParameter", 400),
        ("InvalidParameterValueException", "ParameterValueInvalid", 400),
        ("FilterPolicyLimitExceededException", "FilterPolicyLimitExceeded", 403),
        ("BatchEntryIdsNotDistinctException", "BatchEntryIdsNotDistinct", 400),
        ("AuthorizationErrorException", "AuthorizationError", 403),
    ],
)
def test_codes_of_sns(shape: str, code: str, status: int) -> None:
    error = service_error("sns", shape, "m")
    assert (error.code, error.status) == (code, status)


def test_the_words_of_aws() -> None:
    assert str(missing_parameter("QueueUrl")) == "The request must contain the parameter QueueUrl."
    assert (
        str(invalid_value(11, "MaxNumberOfMessages", "Must be between 1 and 10, if provided."))
        == "Value 11 for parameter MaxNumberOfMessages is invalid. "
        "Reason: Must be between 1 and 10, if provided."
    )
    assert str(invalid_parameter("Empty message")) == "Invalid parameter: Empty message"


def test_a_code_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        common_error("Nothing", "m")
    with pytest.raises(KeyError):
        service_error("sqs", "Nothing")
    # The two tables share no name, so a name in a table says which it is of.
    assert "InvalidParameterValue" not in load_services()["sqs"].errors
