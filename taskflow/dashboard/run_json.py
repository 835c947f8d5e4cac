"""`GET /runs/ID`: what became of a run, as JSON, for programs without taskflow."""

from typing import Any
from urllib.parse import unquote

import msgspec

from taskflow.broker import Broker
from taskflow.dashboard.answer import GUARDED
from taskflow.errors import BrokerUnavailable, DecodeError
from taskflow.server.backend import Backend
from taskflow.server.page_access import AllowsPage
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.tasks.describing import describe_runs
from taskflow.tasks.run import load

JSON = ("content-type", "application/json")


class RunPage:
    """The page of one run. A key must be able to receive from the run's queue, as for the bodies of
    its messages; for others the run is not there, so that they learn nothing."""

    def __init__(self, backend: Backend, allows: AllowsPage) -> None:
        self._backend = backend
        self._allows = allows

    async def show(self, request: HttpRequest) -> HttpResponse:
        """The run, 404 without one, 422 for one that cannot be read here. Never raises what the
        broker raises."""
        refusal = self._allows(request, "receive", "")
        if refusal is not None:
            return refusal
        id = unquote(request.path.rpartition("/")[2])
        try:
            found = await self._backend.run(_describe, self._backend.broker, id)
        except BrokerUnavailable as error:
            return _answer(503, {"error": str(error)})
        except DecodeError as error:  # nested too deep, or of another release
            return _answer(422, {"error": str(error)})
        if found is None or self._allows(request, "receive", found["queue"]) is not None:
            return _answer(404, {"error": "no such run, or none that this key may read"})
        return _answer(200, found)


def _describe(broker: Broker, id: str) -> dict[str, Any] | None:
    found = describe_runs(broker, list(load(broker, [id]).values()), bodies=True)
    return found[0] if found else None


def _answer(status: int, body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(status, (JSON, *GUARDED), msgspec.json.encode(body))
