"""An API: one request sends a task, another asks what became of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import BaseModel
from tasks import Line, make_report

from taskflow import Result, open_broker
from taskflow.errors import NoResult, ResultTimeout, RunFailed
from taskflow.publisher import using


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the broker when the application starts: a wrong address ends it then, not at the first
    request."""
    with using(open_broker()) as app.state.broker:
        yield
    app.state.broker.close()


app = FastAPI(lifespan=lifespan)


class Wanted(BaseModel):
    """The body of a request for a report."""

    title: str
    lines: list[Line]


@app.post("/reports", status_code=202)
async def order_report(wanted: Wanted) -> dict[str, str]:
    result = await make_report.delay_async(wanted.title, wanted.lines)
    return {"id": result.id}


@app.get("/reports/{id}")
async def show_report(
    id: str, response: Response, wait: Annotated[float, Query(ge=0, le=20)] = 0
) -> dict[str, Any]:
    """The report, for which `wait` seconds are waited at most."""
    try:
        return {"state": "done", "text": await Result(id).get_async(wait)}
    except NoResult:
        raise HTTPException(404, f"there is no report {id}") from None
    except RunFailed as failure:
        raise HTTPException(500, failure.error.message) from None
    except ResultTimeout:
        response.status_code = 202
        return {"state": "waiting"}
