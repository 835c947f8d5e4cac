"""From a canvas in Celery's words to a plan of taskflow."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taskflow import payload as json
from taskflow.celery.async_result import AsyncResult
from taskflow.celery.call_words import IN_A_CANVAS, read_part
from taskflow.celery.group_result import GroupResult
from taskflow.celery.not_ported import refuse
from taskflow.celery.task_options import keep_seconds
from taskflow.tasks.call_options import Checked, check_options
from taskflow.tasks.canvas import chain as chains
from taskflow.tasks.canvas.call import Call
from taskflow.tasks.canvas.group import Group as Members
from taskflow.tasks.canvas.links import member_id
from taskflow.tasks.canvas.node import Node
from taskflow.tasks.preparing import Target

if TYPE_CHECKING:
    from taskflow.celery.canvas import Canvas
    from taskflow.celery.celery_app import Celery


def plant(canvas: "Canvas", app: "Celery") -> AsyncResult:
    """Store a canvas as a plan and start it; answers the result of what it is, without what is
    linked to it. Raises NotPorted for an option that parts of a plan do not have."""
    from taskflow.celery.groups import Group

    told = {name: value for name, value in canvas.options.items() if name not in IN_A_CANVAS}
    id = told.pop("task_id", None)
    chosen = {**canvas.options, "task_id": None}
    read_part(app, chosen)
    defaults = {name: chosen[name] for name in IN_A_CANVAS if chosen.get(name) is not None}
    node = _node(canvas, app, defaults, alone=True)
    options: dict[str, Any] = {"result": keep_seconds(app.conf.result_expires)}
    errors = [*canvas.error_links, *_of_the_body(canvas)]
    if len(errors) > 1:
        raise refuse("link_error in a canvas")
    for one in errors:
        options["on_error"] = _node(one, app, {}, alone=False)
    if canvas.links:
        if id is not None:
            raise refuse("link with task_id", id)
        if isinstance(canvas, Group):
            raise refuse("link in a canvas")
        linked = [_node(one, app, {}, alone=False) for one in canvas.links]
        node = chains.chain(node, linked[0] if len(linked) == 1 else Members(linked))
    elif id is not None:
        options["id"] = id
    native = node.delay(**options)
    if canvas.links:  # the plan is what is linked, and this the part before it
        return AsyncResult(member_id(native.id, 0), app=app)
    if isinstance(canvas, Group):
        ids = [member_id(native.id, at) for at in range(len(canvas))]
        return GroupResult(native.id, [AsyncResult(one, app=app) for one in ids], app=app)
    if isinstance(getattr(canvas, "tasks", [None])[-1], Group):
        return GroupResult(native.id, app=app)
    return AsyncResult(native.id, native=native, app=app)


def _node(canvas: "Canvas", app: "Celery", defaults: Mapping[str, Any], *, alone: bool) -> Node:
    from taskflow.celery.chains import Chain
    from taskflow.celery.groups import Group
    from taskflow.celery.signatures import Signature

    if not alone:
        if canvas.links:
            raise refuse("link in a canvas")
        if canvas.error_links:
            raise refuse("link_error in a canvas")
    if isinstance(canvas, Signature):
        return _call(canvas, defaults)
    defaults = {**defaults, **{name: canvas.options[name] for name in _given(canvas)}}
    if isinstance(canvas, Group):
        members = [_node(one, app, defaults, alone=False) for one in canvas.tasks]
        return Members(members, min_success=len(members))
    assert isinstance(canvas, Chain)
    last = len(canvas.tasks) - 1
    parts = [
        _node(one, app, defaults, alone=alone and at == last and _is_body(canvas))
        for at, one in enumerate(canvas.tasks)
    ]
    return chains.chain(*parts)


def _call(one: Any, defaults: Mapping[str, Any]) -> Call:
    app: Celery = one.app
    task = app.tasks.get(one.task)
    options = read_part(app, {**defaults, **one.options})
    target = Target(one.task, (app.queue_of(one.task, options.get("queue")),))
    if task is not None:
        target = task.native.target
        options = {**read_part(app, {"expires": task.options.expires}), **options}
    return Call(
        target,
        *json.encode_arguments(one.args, one.kwargs),
        immutable=one.immutable,
        options=check_options(options, Checked(priority=target.defaults.priority)),
    )


def _given(canvas: "Canvas") -> list[str]:
    return [name for name in IN_A_CANVAS if canvas.options.get(name) is not None]


def _is_body(canvas: Any) -> bool:
    """Whether the last part of a chain is a chord's body: its link_error is that of the chord."""
    from taskflow.celery.groups import Group

    return len(canvas.tasks) > 1 and isinstance(canvas.tasks[-2], Group)


def _of_the_body(canvas: Any) -> list["Canvas"]:
    from taskflow.celery.chains import Chain

    if not isinstance(canvas, Chain) or not canvas.tasks or not _is_body(canvas):
        return []
    return canvas.tasks[-1].error_links
