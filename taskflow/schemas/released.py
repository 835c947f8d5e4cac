"""The file that `taskflow schema export` writes, and `taskflow schema diff FILE` reads."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from taskflow.errors import ConfigError
from taskflow.schemas.payload_schema import PayloadSchema

FORMAT = 1


class Released(msgspec.Struct, frozen=True):
    """`format` is that of the file."""

    format: int
    schemas: Sequence[PayloadSchema]


def write_released(schemas: Sequence[PayloadSchema]) -> str:
    """The text of the file; the same schemas are the same text."""
    text = msgspec.json.encode(Released(FORMAT, schemas), order="sorted")
    return msgspec.json.format(text, indent=2).decode() + "\n"


def read_released(path: Path) -> Sequence[PayloadSchema]:
    """The schemas in a file. Raises ConfigError for one that is none of ours."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Released)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no file of `taskflow schema export`: {error}") from None
    if found.format != FORMAT:
        raise ConfigError(f"{path} has the format {found.format}; this taskflow reads {FORMAT}")
    return found.schemas
