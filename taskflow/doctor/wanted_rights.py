"""Which rights on AWS the handlers need, by resource: those of the exported IAM policies."""

import json
from collections.abc import Mapping

from taskflow.export import Place, export
from taskflow.registry import Registry


def wanted_rights(
    registry: Registry, account: str, region: str | None, options: Mapping[str, str]
) -> dict[str, set[str]]:
    """The actions that publishers and workers need, by the ARN of what they act on. `options` are
    those of the broker's address."""
    if not registry.queues():
        return {}
    tables = [
        name if scheme == "dynamodb" else None
        for scheme, _, name in (
            options.get(option, "").partition("://") for option in ("idempotency", "state")
        )
    ]
    bucket, _, keys = options.get("payloads", "").removeprefix("s3://").partition("/")
    place = Place(
        region,
        account,
        options.get("prefix", ""),
        tables[0],
        bucket or None,
        keys,
        tables[1],
    )
    found: dict[str, set[str]] = {}
    for document in json.loads(export(registry, "iam-policy", place)).values():
        for statement in document["Statement"]:
            for resource in statement["Resource"]:
                found.setdefault(resource, set()).update(statement["Action"])
    return found
