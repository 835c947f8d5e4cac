"""What stands beside queues and topics when it is asked for: the tables of finished events and of
state, and the bucket of large payloads.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
"""

from collections.abc import Iterator
from typing import Any

from taskflow.export.hcl import Block, Expression, block, label
from taskflow.export.plan import Place
from taskflow.export.state_table import cloudformation_state, terraform_state
from taskflow.wire.places import key_prefix

KEPT_DAYS = 60
"""Payloads that nobody removed: two retentions of fourteen days, and time to redrive."""
TABLE, STATE, BUCKET = "finished_events", "state", "payloads"  # their ids in Terraform
TABLE_ID, STATE_ID, BUCKET_ID = "DynamoDBTable", "StateTable", "S3Bucket"  # in CloudFormation
_RULE = "what-nobody-acknowledged"


def terraform_neighbours(place: Place) -> Iterator[str]:
    """Their resources in Terraform."""
    if place.table is not None:
        yield _resource(
            "aws_dynamodb_table",
            TABLE,
            {
                "name": place.table,
                "billing_mode": "PAY_PER_REQUEST",
                "hash_key": "id",
                "attribute": Block(name="id", type="S"),
                "ttl": Block(attribute_name="until", enabled=True),
            },
        )
    if place.state_table is not None:
        yield _resource("aws_dynamodb_table", STATE, terraform_state(place.state_table))
    if place.bucket is not None:
        bucket = Expression(f"aws_s3_bucket.{BUCKET}.id")
        yield _resource("aws_s3_bucket", BUCKET, {"bucket": place.bucket})
        yield _resource(
            "aws_s3_bucket_public_access_block",
            BUCKET,
            {
                "bucket": bucket,
                "block_public_acls": True,
                "block_public_policy": True,
                "ignore_public_acls": True,
                "restrict_public_buckets": True,
            },
        )
        keys = key_prefix(place.keys)  # what else is in the bucket stays
        ours = Block(prefix=keys) if keys else Block()
        rule = Block(id=_RULE, status="Enabled", filter=ours, expiration=Block(days=KEPT_DAYS))
        yield _resource(
            "aws_s3_bucket_lifecycle_configuration", BUCKET, {"bucket": bucket, "rule": rule}
        )


def _resource(kind: str, name: str, attributes: dict[str, Any]) -> str:
    return block(label("resource", kind, name), attributes)


def cloudformation_neighbours(place: Place) -> dict[str, tuple[str, dict[str, Any]]]:
    """Their resources in CloudFormation: kind and properties, by id. A stack that is deleted leaves
    them."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    if place.table is not None:
        table = {
            "TableName": place.table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True},
        }
        found[TABLE_ID] = "DynamoDB::Table", table
    if place.state_table is not None:
        found[STATE_ID] = "DynamoDB::Table", cloudformation_state(place.state_table)
    if place.bucket is not None:
        rule = {"Id": _RULE, "Status": "Enabled", "ExpirationInDays": KEPT_DAYS}
        if keys := key_prefix(place.keys):
            rule["Prefix"] = keys
        bucket = {
            "BucketName": place.bucket,
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "LifecycleConfiguration": {"Rules": [rule]},
        }
        found[BUCKET_ID] = "S3::Bucket", bucket
    return found
