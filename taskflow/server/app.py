"""The ASGI application: an HTTP request becomes a call of an action, in either dialect.

No action knows its dialect and nothing here knows what an action means.
"""

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

from taskflow.clock import Clock
from taskflow.server.explaining_errors import explain
from taskflow.server.hangup import Hangup
from taskflow.server.json_dialect import JsonDialect, refuse
from taskflow.server.protocol import (
    AsgiEvent,
    Dialect,
    HttpRequest,
    HttpResponse,
    Receive,
    check_head,
    check_result,
    find_base,
    find_operation,
    read_body,
    read_head,
)
from taskflow.server.query_dialect import QueryDialect
from taskflow.server.wire_call import Action, Call, Caller
from taskflow.wire.error_codes import WireError, common_error
from taskflow.wire.names import is_region, parse_queue_path, queue_url, region_of_host

log = logging.getLogger("taskflow.server")

# 1 MiB of message is at most 3 MiB when each byte is percent-encoded or a \u escape.
MAX_BODY = 4 * 1024 * 1024
LONG = 64 * 1024  # bytes of a body that is read in a thread

_ACTION = re.compile(r"(?:^|&)Action=")

Send = Callable[[AsgiEvent], Awaitable[None]]
Page = Callable[[HttpRequest], Awaitable[HttpResponse] | HttpResponse]
Authorize = Callable[[HttpRequest, str, str], Caller]
Admit = Callable[[HttpRequest], None]
ReadScope = Callable[[HttpRequest], tuple[str, str, str] | None]
Hook = Callable[[], Awaitable[None]]


class App:
    """An ASGI 3 application.

    `actions`: by (service, operation), a function of a Call, plain or async. A plain one runs on
    the event loop and must not block. It answers a mapping that fits the operation's output
    shape, or raises WireError or BrokerError.
    `authorize`: by request, service and action, who asks; raises WireError to refuse. It runs
    before the parameters are read. `admit` raises WireError for a request whose body is not even
    to be read; `admit_to_pages` answers such a one for a page.
    `scope_of`: (access key, region, service) of a request's signature, None when unsigned.
    `pages`: by (method, path), what else is served; a request for an action goes before them. A
    path that ends in `/*` is for all that have one more word, in `/**` for all below it.
    `region` is the server's own, for requests that name none. `public_url` is put into queue URLs
    instead of the host that the client used.
    `startup` and `shutdown` run with the server (ASGI lifespan).
    """

    def __init__(
        self,
        actions: Mapping[tuple[str, str], Action],
        authorize: Authorize,
        *,
        clock: Clock,
        new_request_id: Callable[[], str],
        region: str,
        scope_of: ReadScope = lambda _: None,
        pages: Mapping[tuple[str, str], Page] | None = None,
        public_url: str | None = None,
        max_body: int = MAX_BODY,
        startup: Hook | None = None,
        shutdown: Hook | None = None,
        admit: Admit = lambda _: None,
        admit_to_pages: Callable[[HttpRequest], HttpResponse | None] = lambda _: None,
        threads: Executor | None = None,
    ) -> None:
        self._actions = actions
        self._authorize = authorize
        self._clock = clock
        self._new_request_id = new_request_id
        self._region = region
        self._scope_of = scope_of
        self._pages = pages or {}
        self._public_url = public_url
        self._max_body = max_body
        self._startup = startup
        self._shutdown = shutdown
        self._admit = admit
        self._admit_to_pages = admit_to_pages
        self._threads = threads

    async def __call__(self, scope: AsgiEvent, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})

    def identify(self, request: HttpRequest) -> tuple[Caller, str]:
        """Who sends such a request for an action of SQS, as far as its head tells, and for which
        region. Raises WireError to refuse it."""
        self._admit(request)
        caller = self._authorize(request, "sqs", "")
        return caller, self._find_region(request, self._read_scope(request))

    def request_id(self) -> str:
        """A new one."""
        return self._new_request_id()

    def refuse(self, error: Exception) -> HttpResponse:
        """What is answered to a request of SQS in JSON that ended with this error."""
        request_id = self._new_request_id()
        return refuse(explain(error, "sqs", request_id), request_id)

    async def _live(self, receive: Receive, send: Send) -> None:
        for phase, hook in (("startup", self._startup), ("shutdown", self._shutdown)):
            await receive()
            try:
                if hook is not None:
                    await hook()
            except Exception as error:
                log.exception("%s failed", phase)
                await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{phase}.complete"})

    async def _serve(self, scope: AsgiEvent, receive: Receive, send: Send) -> None:
        request = read_head(scope)
        if (wrong := check_head(request)) is not None:
            await _answer(_hang_up(_text_page(400, wrong)), send)
            return
        page = self._find_page(request)
        handled = self._show(page, request, receive) if page else self._call(request, receive)
        response = await handled
        if response is not None:
            await _answer(response, send)

    def _find_page(self, request: HttpRequest) -> Page | None:
        if JsonDialect.speaks(request) or _ACTION.search(request.query):
            return None
        method = "GET" if request.method == "HEAD" else request.method
        above = request.path.rpartition("/")[0]
        found = self._pages.get((method, request.path)) or self._pages.get((method, f"{above}/*"))
        while found is None and above:
            found = self._pages.get((method, f"{above}/**"))
            above = above.rpartition("/")[0]
        return found or (_no_page if method == "GET" else None)

    async def _show(
        self, page: Page, request: HttpRequest, receive: Receive
    ) -> HttpResponse | None:
        try:
            unread = request.has_body() and request.method in ("GET", "HEAD")  # no page wants it
            sends = request.has_body() and not unread
            if sends and (refusal := self._admit_to_pages(request)) is not None:
                return _hang_up(refusal)
            body = b"" if unread else await read_body(request, receive, self._max_body)
            if body is None:
                return None
            found = page(request.with_body(body))
            response = await found if inspect.isawaitable(found) else found
            return _hang_up(response) if unread else response
        except WireError as error:
            return _hang_up(_text_page(error.status, error.message))
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _text_page(500, "The request failed; the server's log says why.")

    async def _call(self, request: HttpRequest, receive: Receive) -> HttpResponse | None:
        request_id = self._new_request_id()
        scope = self._read_scope(request)
        try:
            self._admit(request)
            body = await read_body(request, receive, self._max_body)
        except WireError as error:
            return _hang_up(_choose_dialect(request, scope).refuse(error, request_id))
        if body is None:
            return None
        request = request.with_body(body)
        dialect = _choose_dialect(request, scope)
        gone = Hangup(receive)
        service = "sqs"
        try:
            service, action = dialect.identify()
            operation = find_operation(service, action)
            if (service, action) not in self._actions:
                raise common_error("InvalidAction", f"{action} is not supported by this server")
            caller = self._authorize(request, service, action)
            base = self._public_url or find_base(request)
            defaults = _find_defaults(request, base)
            if len(body) > LONG and self._threads is not None:
                loop = asyncio.get_running_loop()
                read = partial(dialect.read, operation.input, defaults)
                params = await loop.run_in_executor(self._threads, read)
            else:
                params = dialect.read(operation.input, defaults)
            region = self._find_region(request, scope)
            call = Call(
                service=service,
                action=action,
                params=params,
                region=region,
                account=caller.account,
                caller=caller,
                base_url=base,
                request_id=request_id,
                now=self._clock.now(),
                source_ip=request.peer,
                secure=self._is_secure(request),
                trace=request.header("x-amzn-trace-id"),
                signed=request.method != "GET" or scope is not None,
                gone=gone,
            )
            answer = self._actions[service, action](call)
            if inspect.isawaitable(answer):
                answer = await answer
            result = check_result(operation.output, answer)
            response = dialect.write(action, operation.output, result, request_id)
        except Exception as error:
            response = dialect.refuse(explain(error, service, request_id), request_id)
        finally:
            await gone.stop_listening()
        return None if gone.is_set() else response

    def _is_secure(self, request: HttpRequest) -> bool:
        """Over TLS; a proxy on this machine, whose URL `--url` tells, speaks for its clients."""
        if request.scheme == "https":
            return True
        return (
            bool(self._public_url)
            and is_loopback(request.peer)
            and (str(self._public_url).startswith("https:"))
        )

    def _read_scope(self, request: HttpRequest) -> tuple[str, str, str] | None:
        try:
            return self._scope_of(request)
        except WireError:
            # `authorize` will say what is wrong with it.
            return None

    def _find_region(self, request: HttpRequest, scope: tuple[str, str, str] | None) -> str:
        if scope and is_region(scope[1]):
            return scope[1]
        return region_of_host(request.header("host").partition(":")[0]) or self._region


# ---- requests -----------------------------------------------------------------------------------
def _find_defaults(request: HttpRequest, base: str) -> Mapping[str, str]:
    queue = parse_queue_path(request.path)
    return {"QueueUrl": queue_url(base, *queue)} if queue else {}


def _choose_dialect(request: HttpRequest, scope: tuple[str, str, str] | None) -> Dialect:
    if JsonDialect.speaks(request):
        return JsonDialect(request)
    return QueryDialect(request, scope[2] if scope else None)


def is_loopback(peer: str) -> bool:
    """Whether an address is of this machine's loopback."""
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False


# ---- answers ------------------------------------------------------------------------------------
async def _answer(response: HttpResponse, send: Send) -> None:
    headers = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _hang_up(response: HttpResponse) -> HttpResponse:
    """The rest of the body is never read, so the connection ends with this answer."""
    return replace(response, headers=(*response.headers, ("connection", "close")))


def _text_page(status: int, text: str) -> HttpResponse:
    return HttpResponse(status, (("content-type", "text/plain; charset=utf-8"),), text.encode())


def _no_page(_: HttpRequest) -> HttpResponse:
    return _text_page(404, "There is nothing here.\n")
