"""What tells a plan from others."""

import hashlib

from taskflow.tasks.canvas.call import Call
from taskflow.tasks.canvas.chain import Chain
from taskflow.tasks.canvas.group import Group
from taskflow.tasks.canvas.node import Node


def shape_of(node: Node) -> str:
    """A plan's parts and their arguments, as a digest."""
    digest = hashlib.sha256()
    left: list[Node | bytes] = [node]
    while left:
        part = left.pop()
        if isinstance(part, bytes):
            digest.update(part)
        elif isinstance(part, Call):
            for text in (part.target.name.encode(), part.args, part.kwargs):
                digest.update(b"%d:%s" % (len(text), text))
        elif isinstance(part, Chain):
            left += [b")", *reversed(part.parts), b"chain("]
        elif isinstance(part, Group):
            left += [b")", *reversed(part.held()), b"group("]
    return digest.hexdigest()
