"""Calls one after the other."""

from taskflow.tasks.canvas.node import Node


class Chain(Node):
    """Made by `chain`. Its parts are calls and groups: a chain in a chain is the same plan as if it
    had been written there."""

    def __init__(self, parts: tuple[Node, ...]) -> None:
        self.parts = parts

    def __repr__(self) -> str:
        return f"<chain of {len(self.parts)}>"


def chain(*nodes: Node) -> Chain:
    """A plan in which each part runs when the one before is done, with what that returned as its
    first argument. When one fails, those after it do not run. Raises ValueError for none."""
    parts: list[Node] = []
    for node in nodes:
        if not isinstance(node, Node):
            raise TypeError(f"{node!r} is no part of a plan; add.s(1), a chain or a group is")
        parts += node.parts if isinstance(node, Chain) else [node]
    if not parts:
        raise ValueError("a chain has one part at least")
    return Chain(tuple(parts))
