"""The one table between what the broker raises and the error codes of SQS, SNS and STS."""

from collections.abc import Mapping

from taskflow.errors import (
    BrokerError,
    BrokerFileError,
    BrokerUnavailable,
    FileReplaced,
    InvalidFilterPolicy,
    InvalidName,
    LimitExceeded,
    MessageNotFound,
    MoveTaskNotFound,
    OverLimit,
    QueueExists,
    QueueNotFound,
    TopicExists,
    TopicNotFound,
)
from taskflow.wire.shapes import load_services


class WireError(Exception):
    """An answer that is an error.

    `code` is what the query protocol calls it, `shape` what JSON does (None: what `COMMON` says
    of the code, else the same word).
    `status` is the HTTP status; `sender` says whose fault it is (False: the server's).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        shape: str | None = None,
        status: int = 400,
        sender: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.shape = shape
        self.status = status
        self.sender = sender

    def __repr__(self) -> str:
        return f"WireError({self.code!r}, {self.message!r}, status={self.status})"


# Errors that every AWS service shares: query code to JSON shape and HTTP status.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
COMMON: Mapping[str, tuple[str, int]] = {
    "AccessDenied": ("AccessDeniedException", 403),
    "ExpiredToken": ("ExpiredTokenException", 403),
    "IncompleteSignature": ("IncompleteSignatureException", 400),
    "InternalFailure": ("InternalFailure", 500),
    "InvalidAction": ("UnknownOperationException", 400),
    "InvalidClientTokenId": ("UnrecognizedClientException", 403),
    "InvalidParameterValue": ("InvalidParameterValueException", 400),
    "MalformedInput": ("SerializationException", 400),
    "MalformedQueryString": ("MalformedQueryStringException", 404),
    "MissingAction": ("MissingActionException", 400),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException", 403),
    "MissingParameter": ("MissingRequiredParameterException", 400),
    "RequestEntityTooLarge": ("RequestEntityTooLargeException", 413),
    "RequestExpired": ("RequestExpiredException", 400),
    "ServiceUnavailable": ("ServiceUnavailableException", 503),
    "SignatureDoesNotMatch": ("InvalidSignatureException", 403),
    "Throttling": ("ThrottlingException", 400),
    "ValidationError": ("ValidationException", 400),
}

# What AWS says when the caller has nothing better to say.
_TEXTS: Mapping[str, str] = {
    "BatchEntryIdsNotDistinct": "Two or more batch entries in the request have the same Id.",
    "InvalidBatchEntryId": "A batch entry id can only contain alphanumeric characters, hyphens and "
    "underscores. It can be at most 80 letters long.",
    "MessageNotInflight": "The specified message is not in flight.",
    "QueueDeletedRecently": "You must wait 60 seconds after deleting a queue before you can create "
    "another with the same name.",
    "QueueDoesNotExist": "The specified queue does not exist.",
}


def common_error(code: str, message: str) -> WireError:
    """An error of `COMMON` by its query code. KeyError for a code that is not in it."""
    shape, status = COMMON[code]
    return WireError(code, message, shape=shape, status=status, sender=status < 500)


def service_error(service: str, shape: str, message: str = "") -> WireError:
    """An error from a service's model by the name of its shape, such as `QueueDoesNotExist`.

    Without a message it says what AWS says where that does not vary. KeyError for a shape that
    the model has not.
    """
    facts = load_services()[service].errors[shape]
    return WireError(
        facts.code,
        message or _TEXTS.get(shape, ""),
        shape=shape,
        status=facts.status,
        sender=facts.sender,
    )


_MISSING = "The request must contain the parameter "


def missing_parameter(name: str) -> WireError:
    """A required parameter is absent."""
    return common_error("MissingParameter", f"{_MISSING}{name}.")


def invalid_value(value: object, parameter: str, reason: str) -> WireError:
    """SQS's words for a value it refuses; `reason` is a sentence with its full stop."""
    text = f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    return common_error("InvalidParameterValue", text)


def invalid_parameter(text: str) -> WireError:
    """SNS's words for a value it refuses: `TopicArn Reason: ...`, `Empty message`."""
    return service_error("sns", "InvalidParameterException", f"Invalid parameter: {text}")


def in_words_of(service: str, error: WireError) -> WireError:
    """What is the same for all services as `service` says it."""
    if service == "sns" and error.code == "MissingParameter":
        name = error.message.removeprefix(_MISSING).removesuffix(".")
        return invalid_parameter(f"{name} Reason: no value for required parameter")
    return error


def translate(error: BrokerError, service: str) -> WireError:
    """What a client of `service` is told of a broker's refusal.

    The class decides, nearest first; a class that is not in the table is a fault of the server.
    """
    table, model = (SNS_ERRORS, "sns") if service == "sns" else (SQS_ERRORS, "sqs")
    for kind in type(error).__mro__:
        if kind in table:
            name, text = table[kind]
            if name in COMMON:
                return common_error(name, text.format(error))
            return service_error(model, name, text.format(error))
    return common_error("InternalFailure", "The request failed for an unknown reason.")


_AWAY = ("ServiceUnavailable", "The broker cannot be used now. Please try again.")
_BROKEN = ("InternalFailure", "The broker cannot use its file. The server's log says why.")

_TAKEN = "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
_FULL = "The number of messages in flight is at its limit."

# Broker error to (shape of the model or code of COMMON, text; {} is what the broker said).
SQS_ERRORS: Mapping[type[BrokerError], tuple[str, str]] = {
    QueueNotFound: ("QueueDoesNotExist", ""),
    TopicNotFound: ("ResourceNotFoundException", "Topic does not exist"),
    QueueExists: ("QueueNameExists", "{}"),
    TopicExists: ("InvalidParameterValue", "{}"),
    MoveTaskNotFound: ("ResourceNotFoundException", "Task does not exist."),
    MessageNotFound: ("ResourceNotFoundException", "{}"),
    OverLimit: ("OverLimit", _FULL),
    InvalidName: ("InvalidParameterValue", "{}"),
    LimitExceeded: ("InvalidParameterValue", "{}"),
    InvalidFilterPolicy: ("InvalidParameterValue", "{}"),
    BrokerUnavailable: _AWAY,
    BrokerFileError: _BROKEN,
    FileReplaced: _BROKEN,
}
SNS_ERRORS: Mapping[type[BrokerError], tuple[str, str]] = {
    QueueNotFound: ("InvalidParameterException", "Invalid parameter: SQS endpoint ARN"),
    TopicNotFound: ("NotFoundException", "Topic does not exist"),
    QueueExists: ("InvalidParameterException", "Invalid parameter: {}"),
    TopicExists: ("InvalidParameterException", _TAKEN),
    MoveTaskNotFound: ("ResourceNotFoundException", "Task does not exist."),
    MessageNotFound: ("NotFoundException", "{}"),
    OverLimit: ("ThrottledException", _FULL),
    InvalidName: ("InvalidParameterException", "Invalid parameter: Topic Name"),
    LimitExceeded: ("InvalidParameterException", "Invalid parameter: {}"),
    InvalidFilterPolicy: (
        "InvalidParameterException",
        "Invalid parameter: Attributes Reason: {}",
    ),
    BrokerUnavailable: _AWAY,
    BrokerFileError: _BROKEN,
    FileReplaced: _BROKEN,
}
