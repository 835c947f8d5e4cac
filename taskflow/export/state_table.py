"""The table of `state=dynamodb://`, in Terraform and CloudFormation.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/dynamodb_table
"""

from typing import Any

from taskflow.export.hcl import Block

KEY = ("pk", "sk")
ATTRIBUTES = {
    "pk": "S",
    "sk": "S",
    "kind": "S",
    "number": "N",
    "family": "S",
    "due_kind": "S",
    "due_order": "S",
}
INDEXES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "listed": ("kind", "number", ("label", "state", "created_at", "expires_at", "part_of")),
    "children": ("family", "number", ()),
    "due": ("due_kind", "due_order", ()),
}
"""By name: the hash key, the range key, and what is in it beside the keys."""


def cloudformation_state(name: str) -> dict[str, Any]:
    """The properties of the table; what `create-table` takes, but for the TTL."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": one, "AttributeType": kind} for one, kind in ATTRIBUTES.items()
        ],
        "KeySchema": _schema(*KEY),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": _schema(hash, range),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [*more]}
                if more
                else {"ProjectionType": "KEYS_ONLY"},
            }
            for index, (hash, range, more) in INDEXES.items()
        ],
        "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True},
    }


def terraform_state(name: str) -> dict[str, Any]:
    """The attributes of an `aws_dynamodb_table`."""
    return {
        "name": name,
        "billing_mode": "PAY_PER_REQUEST",
        "hash_key": KEY[0],
        "range_key": KEY[1],
        "attribute": [Block(name=one, type=kind) for one, kind in ATTRIBUTES.items()],
        "global_secondary_index": [
            Block(
                name=index,
                hash_key=hash,
                range_key=range,
                projection_type="INCLUDE" if more else "KEYS_ONLY",
                non_key_attributes=[*more] or None,
            )
            for index, (hash, range, more) in INDEXES.items()
        ],
        "ttl": Block(attribute_name="until", enabled=True),
    }


def _schema(hash: str, range: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash, "KeyType": "HASH"},
        {"AttributeName": range, "KeyType": "RANGE"},
    ]
