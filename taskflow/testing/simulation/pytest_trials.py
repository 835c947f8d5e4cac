"""Tests that are run again and again by pytest, each time with fixtures of their own."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from _pytest.runner import runtestprotocol

from taskflow.testing.simulation.trial import Trial, on_trial
from taskflow.testing.simulation.trials import TRIALS, Chaos, Failure, Trials

Reports = Sequence[pytest.TestReport]


def trials_of(item: pytest.Item) -> Trials | None:
    """How a test is to be tried; None for once."""
    found: Trials | None = getattr(getattr(item, "obj", None), TRIALS, None)
    seed = item.config.getoption("taskflow_chaos")
    if found is None and seed is not None:
        return Chaos([f"{seed}/{item.nodeid}"])
    return found


def run_trials(item: pytest.Item, nextitem: pytest.Item | None, trials: Trials) -> None:
    """Run a test as often as it takes, and report it once."""
    first: list[Reports] = []

    def run(trial: Trial) -> Failure | None:
        item._report_sections.clear()  # what is logged is of the last run alone
        with on_trial(trial):
            # As if one of its neighbours came next: what they share stays.
            reports = runtestprotocol(item, log=False, nextitem=cast(Any, item.parent))
        first.append(reports)
        failed = next((report for report in reports if report.failed), None)
        return None if failed is None else Failure(_kind(failed), reports)

    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    finding = trials.search(run)
    reports: Reports = first[0]
    if finding is not None:
        told: Any = finding.failure.told
        reports = first[-1] if isinstance(told, BaseException) else told
        _tell(item, reports, finding.text or str(told))
        if isinstance(told, BaseException):
            _fail(reports, str(told))
    item.session._setupstate.teardown_exact(nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _kind(report: pytest.TestReport) -> str:
    """What failed, alike for runs that fail alike."""
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(getattr(crash, "message", "")).split(maxsplit=1)
    kind = message[0].rstrip(":") if message else ""
    return f"{report.when} {'AssertionError' if kind == 'assert' else kind}"


def _tell(item: pytest.Item, reports: Reports, text: str) -> None:
    seed = item.config.getoption("taskflow_chaos")
    if seed is not None:
        text += f"\nagain: pytest --taskflow-chaos={seed} '{item.nodeid}'"
    for report in reports:
        if report.failed or report.when == "call":
            report.sections.append(("taskflow", text))


def _fail(reports: Reports, why: str) -> None:
    for report in reports:
        if report.when == "call":
            report.outcome, report.longrepr = "failed", why
