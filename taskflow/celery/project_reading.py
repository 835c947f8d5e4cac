"""What becomes of a Celery project's tasks: read from its files by their syntax, never imported."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from taskflow.celery.not_ported import REFUSED
from taskflow.celery.task_options import read_options
from taskflow.errors import ConfigError, NotPorted, RegistrationError

_SKIPPED = ("node_modules", "site-packages", "__pycache__")
_NOT_READ = object()
_METHODS = {
    "replace": "Task.replace",
    "add_to_chord": "Task.add_to_chord",
}
_CALL_OPTIONS = (
    "priority",
    "exchange",
    "routing_key",
    "serializer",
    "compression",
    "shadow",
    "producer",
)
_SENDERS = ("delay", "apply_async", "send_task")
LATE = (
    "acks_late: its message is acknowledged when it has ended, so that it runs again after a "
    "crash, as often as max_retries says; Celery lost it by default"
)
_MEANINGS: Mapping[str, str] = {
    "rate_limit": "rate_limit: counts over all workers of a broker, not in each",
    "time_limit": "time_limit: nothing is killed; the task is interrupted as by soft_time_limit, "
    "which C code does not notice",
    "soft_time_limit": "soft_time_limit: SoftTimeLimitExceeded is no Exception, so that `except "
    "Exception` does not take it",
    "throws": "throws: has no effect; a failure that is expected is logged as any",
}


class FoundTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task and where it is. `refused`: what is not there, each with what to use instead;
    `changes`: what means something else. `name` as far as it can be known without running it."""

    file: str
    line: int
    name: str
    refused: list[str]
    changes: list[str]


def read_project(path: Path) -> list[FoundTask]:
    """The tasks of all .py files in a folder, or of one file, in the order of their places. Raises
    ConfigError for a path that is not there, and for a file that is no Python."""
    if not path.exists():
        raise ConfigError(f"there is no {str(path)!r}")
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    found: list[FoundTask] = []
    for file in files:
        inside = file.relative_to(root)
        if any(part in _SKIPPED or part.startswith(".") for part in inside.parts):
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError, RecursionError) as error:
            raise ConfigError(f"{file} cannot be read as Python: {error}") from None
        found += _read_file(str(inside), tree)
    return found


def _read_file(file: str, tree: ast.Module) -> Iterator[FoundTask]:
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(tree) if isinstance(node, functions)]
    for node in sorted(found, key=lambda one: one.lineno):
        for decorator in node.decorator_list:
            options = _options_of(decorator)
            if options is not None:
                yield _read_task(file, f"{module}.{node.name}", node, options)


def _options_of(decorator: ast.expr) -> dict[str, Any] | None:
    """What a decorator says of a task; None for one that makes none."""
    made = decorator.func if isinstance(decorator, ast.Call) else decorator
    is_task = (isinstance(made, ast.Attribute) and made.attr == "task") or (
        isinstance(made, ast.Name) and made.id == "shared_task"
    )
    if not is_task:
        return None
    if not isinstance(decorator, ast.Call):
        return {}
    return {one.arg: _value(one.value) for one in decorator.keywords if one.arg is not None}


def _value(node: ast.expr) -> Any:
    """A literal; what has to be run to be known is not read."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _NOT_READ


def _read_task(
    file: str,
    name: str,
    function: ast.FunctionDef | ast.AsyncFunctionDef,
    options: Mapping[str, Any],
) -> FoundTask:
    refused = [*_refused_options(options), *_refused_inside(function)]
    changes = list(_changed_options(options))
    calls = [one for one in ast.walk(function) if isinstance(one, ast.Call)]
    if any(_attribute(one) in _SENDERS for one in calls):
        changes.append("calls: what it calls is sent when it has succeeded, not at once")
    if any(_attribute(one) == "get" and _is_sent(one) for one in calls):
        changes.append(
            "get: waiting for a result inside a task raises WouldDeadlock; use link, a chain or a "
            "chord"
        )
    given = options.get("name")
    return FoundTask(
        file=file,
        line=function.lineno,
        name=given if isinstance(given, str) else name,
        refused=list(dict.fromkeys(refused)),
        changes=changes,
    )


def _refused_options(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if value is _NOT_READ and name not in REFUSED:
            continue
        if value is _NOT_READ and name == "serializer":
            continue
        try:
            read_options({name: value}, {}, "task")
        except (NotPorted, RegistrationError) as error:
            told = str(error).replace(repr(_NOT_READ), "...")
            yield f"{name}: {told.removeprefix('taskflow.celery has no ')}"


def _refused_inside(function: ast.AST) -> Iterator[str]:
    calls = [one for one in ast.walk(function) if isinstance(one, ast.Call)]
    for call in sorted(calls, key=lambda one: (one.lineno, one.col_offset)):
        method, named = _attribute(call), {one.arg for one in call.keywords}
        if method in _METHODS and _is_self(call):
            yield f"self.{method}: {REFUSED[_METHODS[method]]}"
        if method == "retry" and _is_self(call):
            if named & {"args", "kwargs"} or call.args:
                yield f"self.retry: {REFUSED['retry with other arguments']}"
            if "throw" in named:
                yield f"self.retry: {REFUSED['retry(throw=False)']}"
            if "max_retries" in named:
                yield f"self.retry: {REFUSED['retry beyond max_retries']}"
        if method == "apply_async":
            for name in _CALL_OPTIONS:
                if name in named and name != "serializer":
                    yield f"apply_async({name}=): {REFUSED[name]}"


def _changed_options(options: Mapping[str, Any]) -> Iterator[str]:
    if options.get("acks_late") is None:
        yield LATE
    if "max_retries" in options and options["max_retries"] is None:
        yield "max_retries: None is 999"
    for name, text in _MEANINGS.items():
        if name in options:
            yield text


def _attribute(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _is_self(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id == "self"


def _is_sent(call: ast.Call) -> bool:
    """Whether it is a method of what a sender answered: `add.delay(1).get()`."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Call) and _attribute(owner) in _SENDERS
