"""What `@task(…)` may be told, as an editor sees it."""

from typing import reveal_type

from taskflow import RetryPolicy, cron, every, task


@task
def note(text: str) -> None: ...


@every("10s")
@task(queue=["reports", "urgent"], policy=RetryPolicy(retries=5), retry_on=[OSError])
def report(day: str = "today") -> str:
    return day


@cron("0 9 * * mon-fri", tz="Europe/Berlin")
@task(on_success=note, on_failure=note, give_up_on=(ValueError,), timeout=None, rate="10/s")
def total(numbers: list[int]) -> int:
    return sum(numbers)


reveal_type(report.delay("today").get())  # is: str
reveal_type(total.delay([1, 2]).get())  # is: int
total.delay(["x"])  # error: list-item, reportArgumentType


@task(retrys=3)  # error: call-overload, reportCallIssue
def misspelt() -> None: ...


@task(on_success="note")  # error: call-overload, reportArgumentType
def named_by_text() -> None: ...


@task(on_failure=print)  # error: call-overload, reportArgumentType
def followed_by_a_function() -> None: ...


@task(result=["1d"])  # error: call-overload, reportArgumentType
def kept_for_a_list() -> None: ...


@task(retry_on=["OSError"])  # error: list-item, reportArgumentType
def retried_by_name() -> None: ...
