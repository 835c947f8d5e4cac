"""The refusals of a request whose signature, key or rights are not enough, in AWS's words."""


class AuthError(Exception):
    """A request is refused: AWS's error code, its HTTP status, and a text without secrets."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def unknown_key() -> AuthError:
    """The refusal of a key that nobody has."""
    return AuthError(
        "InvalidClientTokenId", "The security token included in the request is invalid."
    )


def denied(service: str, principal: str, action: str, resource: str) -> AuthError:
    """The refusal of a known caller: AccessDenied, which SNS calls AuthorizationError."""
    return AuthError(
        "AuthorizationError" if service == "sns" else "AccessDenied",
        f"User: {principal} is not authorized to perform: {action} on resource: {resource}",
    )


def incomplete(message: str) -> AuthError:
    """The refusal of a signature that is not all there, or not in its form."""
    return AuthError("IncompleteSignature", message, 400)


def mismatch(message: str) -> AuthError:
    """The refusal of a signature that is not that of this request."""
    return AuthError("SignatureDoesNotMatch", message)
