"""Where the parts of a plan begin."""

from collections.abc import Iterator

from taskflow.tasks.canvas.call import Call
from taskflow.tasks.canvas.chain import Chain
from taskflow.tasks.canvas.group import Group
from taskflow.tasks.canvas.links import Link
from taskflow.tasks.canvas.node import Node


def link_of(id: str, queue: str, node: Node) -> Link:
    """Where a part begins. (A group's own message is for nobody to wait for.)"""
    if isinstance(node, Call):
        return Link(id, queue, node.chosen.priority, node.chosen.delay)
    return Link(id, queue)


def queue_of_node(node: Node) -> str:
    """Where the message of a part goes: a group's to where its first call does, "" for none."""
    left: list[Iterator[Node]] = [iter((node,))]
    while left:
        part = next(left[-1], None)
        if part is None:
            left.pop()
        elif isinstance(part, Call):
            return part.queue
        elif isinstance(part, Chain):
            left.append(iter(part.parts))
        elif isinstance(part, Group):
            left.append(part.walk())
    return ""
