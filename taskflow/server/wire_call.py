"""One call of an action, in no dialect: who asks, for what, from where."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the account they act in, their ARN, and the access key that signed. `trusted` when
    the server was open to everybody as they came."""

    account: str
    arn: str
    access_key_id: str = ""
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an action.

    `params` fit the operation's input shape (members as botocore names them, blobs as bytes).
    `base_url` is the scheme and host that the client used. `now` is when the call came, in epoch
    seconds, `source_ip` from where, `secure` whether over TLS. `trace` is the X-Ray header it came
    with; `signed` is False for a link that somebody followed. `gone` is set when the client has
    hung up: whoever waits should stop, and lend nothing to it.
    """

    service: str
    action: str
    params: Mapping[str, Any]
    region: str
    account: str
    caller: Caller
    base_url: str
    request_id: str
    now: float
    source_ip: str = ""
    secure: bool = False
    trace: str = ""
    signed: bool = True
    gone: asyncio.Event = field(default_factory=asyncio.Event)


Result = Mapping[str, Any] | None
Action = Callable[[Call], Awaitable[Result] | Result]
