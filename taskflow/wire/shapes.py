"""What every operation of SQS, SNS and STS takes and answers, read from shapes.json.

shapes.json is written by `proto/aws/generate.py` from the service models of botocore.
"""

from functools import cache
from importlib.resources import files
from typing import Literal

from msgspec import Struct
from msgspec.json import decode

Scalar = Literal["string", "integer", "long", "boolean", "blob"]


class Structure(Struct, frozen=True, tag="structure"):
    """Named members. `names` holds those spelled otherwise in the query protocol and in XML."""

    members: dict[str, "Shape"] = {}
    names: dict[str, str] = {}
    required: tuple[str, ...] = ()


class ListOf(Struct, frozen=True, tag="list"):
    """Items of one shape: `Name.1` when flattened, else `Member.name.1`, `name` mostly `member`."""

    item: "Shape"
    name: str
    flattened: bool = False


class MapOf(Struct, frozen=True, tag="map"):
    """String keys to values of one shape; `names` is how a pair spells its key and its value."""

    value: "Shape"
    names: tuple[str, str]
    flattened: bool = False


Shape = Scalar | Structure | ListOf | MapOf


class Operation(Struct, frozen=True):
    """What an operation takes, and what it answers (None: an empty answer)."""

    input: Structure = Structure()
    output: Structure | None = None


class ErrorShape(Struct, frozen=True):
    """How a modelled error travels: query code, HTTP status, and whether the sender caused it."""

    code: str
    status: int
    sender: bool


class Service(Struct, frozen=True):
    """One service. `excluded` are operations that AWS has and this server refuses by name."""

    version: str
    namespace: str
    excluded: tuple[str, ...]
    errors: dict[str, ErrorShape]
    operations: dict[str, Operation]


@cache
def load_services() -> dict[str, Service]:
    """The services by name: sqs, sns, sts. Read once."""
    text = files("taskflow.wire").joinpath("shapes.json").read_bytes()
    return decode(text, type=dict[str, Service])
