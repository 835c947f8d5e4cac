"""The subscriptions as documents for other tools: infrastructure, API description, diagram.

Pure: text from a registry; no broker and no network.
"""

from collections.abc import Callable

from taskflow.errors import ConfigError
from taskflow.export.asyncapi import asyncapi
from taskflow.export.cloudformation import cloudformation
from taskflow.export.iam import iam_policy
from taskflow.export.mermaid import mermaid
from taskflow.export.plan import Place, Plan, make_plan
from taskflow.export.terraform import terraform
from taskflow.registry import Registry

__all__ = ["FORMATS", "Place", "export"]

FORMATS: dict[str, Callable[[Plan], str]] = {
    "terraform": terraform,
    "cloudformation": cloudformation,
    "asyncapi": asyncapi,
    "mermaid": mermaid,
    "iam-policy": iam_policy,
}


def export(registry: Registry, format: str, place: Place | None = None) -> str:
    """The document that describes what the subscriptions need, in one of FORMATS.

    The same subscriptions give the same text, whatever order they were registered in. Raises
    ConfigError for an unknown format, for names that AWS would refuse, or without subscriptions.
    """
    if format not in FORMATS:
        raise ConfigError(f"format is {format!r}; allowed: {', '.join(FORMATS)}")
    return FORMATS[format](make_plan(registry, place or Place()))
