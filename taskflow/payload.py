"""Payloads as JSON: any value out, the handler's annotated type back in."""

from collections.abc import Callable
from typing import Any

import msgspec

from taskflow.errors import DecodeError

Decode = Callable[[msgspec.Raw], Any]


def _foreign(value: Any) -> Any:
    """What msgspec does not know: pydantic models, and freezegun's dates (a subclass)."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a payload of type {type(value).__name__} cannot be written as JSON")


encode: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_foreign).encode


def decoder(annotation: Any) -> Decode:
    """A function from JSON bytes to `annotation`. Raises TypeError when there can be none.

    The function raises DecodeError, naming the place and the expected type, never the value.
    Unknown fields are ignored, so that producers may add some.
    """
    if hasattr(annotation, "__pydantic_validator__"):
        return _pydantic_decoder(annotation)
    try:
        read = msgspec.json.Decoder(annotation).decode
    except (TypeError, NameError) as error:
        raise TypeError(str(error)) from error

    def decode(raw: msgspec.Raw) -> Any:
        try:
            return read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"the payload does not fit: {error}") from None

    return decode


def _pydantic_decoder(model: Any) -> Decode:
    from pydantic import ValidationError

    def decode(raw: msgspec.Raw) -> Any:
        try:
            return model.model_validate_json(bytes(raw))
        except ValidationError as error:
            places = "; ".join(
                f"{problem['msg']} - at `$.{'.'.join(map(str, problem['loc']))}`"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise DecodeError(f"the payload does not fit: {places}") from None

    return decode
