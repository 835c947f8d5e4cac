"""A topic's name in code and on SNS, which knows no dots: `order.created` is `order-created`.

A FIFO topic keeps its `.fifo`.
"""

from taskflow.limits import FIFO_SUFFIX


def to_sns(topic: str) -> str:
    """The name on SNS of a topic in code."""
    stem = topic.removesuffix(FIFO_SUFFIX)
    return stem.replace(".", "-") + topic[len(stem) :]


def from_sns(name: str) -> str:
    """The topic in code of a name on SNS."""
    stem = name.removesuffix(FIFO_SUFFIX)
    return stem.replace("-", ".") + name[len(stem) :]
