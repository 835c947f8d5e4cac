"""The same on taskflow: what takes longer than the visibility timeout runs once all the same.

taskflow topology apply -m trap_after
taskflow worker -m trap_after
python trap_after.py
"""

import os
from pathlib import Path
from threading import Event

from taskflow import Context, Retry, publish, subscribe


def done(text: str) -> None:
    """The effect of a handler: a line in a file."""
    with Path(os.environ.get("SHOP_LOG", "shop.log")).open("a") as log:
        log.write(f"{text}\n")


@subscribe("wait.over", queue="trap", visibility_timeout=3)
def wait(event: dict) -> None:
    done("waited")


@subscribe("fail.wanted", queue="trap", visibility_timeout=3, retries=2)
def fail(event: dict, ctx: Context) -> None:
    done(f"failed at retry {ctx.attempt - 1}")
    raise Retry(after=8)


@subscribe("work.wanted", queue="trap", visibility_timeout=3)
def work(event: dict) -> None:
    done("worked")
    Event().wait(5)


if __name__ == "__main__":
    publish("wait.over", {}, delay=10)
    publish("fail.wanted", {})
    publish("work.wanted", {})
