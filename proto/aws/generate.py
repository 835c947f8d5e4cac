"""Writes taskflow/wire/shapes.json, what SQS, SNS and STS send and answer, from botocore.

    python proto/aws/generate.py            write the file
    python proto/aws/generate.py --check    exit 1 when the file is not what would be written

Facts only: names, types, what is required, how lists and maps are spelled. No documentation text.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session

TARGET = Path(__file__).parents[2] / "taskflow" / "wire" / "shapes.json"

# Answered by name only: mobile push and SMS need carriers, which a broker on one machine has not.
EXCLUDED = {
    "sqs": (),
    "sns": (
        "CheckIfPhoneNumberIsOptedOut",
        "CreatePlatformApplication",
        "CreatePlatformEndpoint",
        "CreateSMSSandboxPhoneNumber",
        "DeleteEndpoint",
        "DeletePlatformApplication",
        "DeleteSMSSandboxPhoneNumber",
        "GetEndpointAttributes",
        "GetPlatformApplicationAttributes",
        "GetSMSAttributes",
        "GetSMSSandboxAccountStatus",
        "ListEndpointsByPlatformApplication",
        "ListOriginationNumbers",
        "ListPhoneNumbersOptedOut",
        "ListPlatformApplications",
        "ListSMSSandboxPhoneNumbers",
        "OptInPhoneNumber",
        "SetEndpointAttributes",
        "SetPlatformApplicationAttributes",
        "SetSMSAttributes",
        "VerifySMSSandboxPhoneNumber",
    ),
}
# STS is answered for `aws sts get-caller-identity`, which people try first; the rest is unknown.
ONLY = {"sts": ("GetCallerIdentity",)}

# The SQS model speaks JSON since botocore 1.31.81 and has lost what only the query protocol
# needs. These are the facts of the last model that had them, 1.31.80.
SQS_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
SQS_LISTS = {
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "BinaryList": "BinaryListValue",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    # Newer than that model; named as in the API reference of ReceiveMessage.
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "StringList": "StringListValue",
    "TagKeyList": "TagKey",
}
SQS_MAPS = {
    "MessageBodyAttributeMap": ("MessageAttribute", "Name", "Value"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name", "Value"),
    "MessageSystemAttributeMap": ("Attribute", "Name", "Value"),
    "QueueAttributeMap": ("Attribute", "Name", "Value"),
    "TagMap": ("Tag", "Key", "Value"),
}
# Query code and HTTP status where they are not the shape's own name and 400.
SQS_ERRORS = {
    "BatchEntryIdsNotDistinct": ("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400),
    "BatchRequestTooLong": ("AWS.SimpleQueueService.BatchRequestTooLong", 400),
    "EmptyBatchRequest": ("AWS.SimpleQueueService.EmptyBatchRequest", 400),
    "InvalidAddress": ("InvalidAddress", 404),
    "InvalidBatchEntryId": ("AWS.SimpleQueueService.InvalidBatchEntryId", 400),
    "InvalidSecurity": ("InvalidSecurity", 403),
    "KmsAccessDenied": ("KMS.AccessDeniedException", 400),
    "KmsDisabled": ("KMS.DisabledException", 400),
    "KmsInvalidKeyUsage": ("KMS.InvalidKeyUsageException", 400),
    "KmsInvalidState": ("KMS.InvalidStateException", 400),
    "KmsNotFound": ("KMS.NotFoundException", 400),
    "KmsOptInRequired": ("KMS.OptInRequired", 403),
    "KmsThrottled": ("KMS.ThrottlingException", 400),
    "MessageNotInflight": ("AWS.SimpleQueueService.MessageNotInflight", 400),
    "OverLimit": ("OverLimit", 403),
    "PurgeQueueInProgress": ("AWS.SimpleQueueService.PurgeQueueInProgress", 403),
    "QueueDeletedRecently": ("AWS.SimpleQueueService.QueueDeletedRecently", 400),
    "QueueDoesNotExist": ("AWS.SimpleQueueService.NonExistentQueue", 400),
    "QueueNameExists": ("QueueAlreadyExists", 400),
    "ReceiptHandleIsInvalid": ("ReceiptHandleIsInvalid", 404),
    "RequestThrottled": ("RequestThrottled", 403),
    "ResourceNotFoundException": ("ResourceNotFoundException", 404),
    "TooManyEntriesInBatchRequest": ("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", 400),
    "UnsupportedOperation": ("AWS.SimpleQueueService.UnsupportedOperation", 400),
}


def spell(service: str, member: str, shape: Any) -> str:
    """The name of a structure's member in the query protocol and in XML."""
    if service == "sqs" and shape.type_name == "list":
        return SQS_LISTS[shape.name]
    if service == "sqs" and shape.type_name == "map":
        return SQS_MAPS[shape.name][0]
    return str(shape.serialization.get("name", member))


def describe(service: str, shape: Any) -> Any:
    """A shape as `taskflow.server.shapes` reads it: a scalar's type, or what it is made of."""
    if shape.type_name == "structure":
        names = {name: spell(service, name, member) for name, member in shape.members.items()}
        found = {
            "type": "structure",
            "members": {name: describe(service, item) for name, item in shape.members.items()},
            "names": {name: wire for name, wire in names.items() if wire != name},
            "required": list(shape.required_members),
        }
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        found = {
            "type": "list",
            "item": describe(service, shape.member),
            "name": SQS_LISTS[shape.name] if service == "sqs" else item,
            "flattened": bool(shape.serialization.get("flattened")),
        }
    elif shape.type_name == "map":
        names = (shape.key.serialization.get("name", "key"), shape.value.serialization.get("name"))
        key, value = SQS_MAPS[shape.name][1:] if service == "sqs" else names
        found = {
            "type": "map",
            "value": describe(service, shape.value),
            "names": [key, value or "value"],
            "flattened": bool(shape.serialization.get("flattened")),
        }
    else:
        return shape.type_name
    return {name: fact for name, fact in found.items() if fact not in ({}, [], False)}


def describe_errors(service: str, model: Any) -> dict[str, Any]:
    """Every error shape of a service: its query code, its HTTP status, whose fault it is."""
    errors = {}
    for shape in sorted(model.error_shapes, key=lambda shape: str(shape.name)):
        facts = shape.metadata.get("error", {})
        code, status = facts.get("code", shape.name), facts.get("httpStatusCode", 400)
        if service == "sqs":
            code, status = SQS_ERRORS.get(shape.name, (shape.name, 400))
        errors[shape.name] = {"code": code, "status": status, "sender": status < 500}
    return errors


def describe_service(service: str) -> dict[str, Any]:
    """All facts of one service."""
    model = botocore.session.get_session().get_service_model(service)
    wanted = ONLY.get(service, model.operation_names)
    operations = {}
    for name in wanted:
        if name in EXCLUDED.get(service, ()):
            continue
        operation = model.operation_model(name)
        shapes = {"input": operation.input_shape, "output": operation.output_shape}
        operations[name] = {
            side: describe(service, shape) for side, shape in shapes.items() if shape is not None
        }
    return {
        "version": model.api_version,
        "namespace": model.metadata.get("xmlNamespace", SQS_NAMESPACE),
        "excluded": list(EXCLUDED.get(service, ())),
        "errors": describe_errors(service, model),
        "operations": operations,
    }


def lay_out(services: dict[str, Any]) -> Iterator[str]:
    """The file, one line to each operation and each error: a change shows where it is."""
    yield "{"
    for service, facts in services.items():
        yield f"{json.dumps(service)}: {{"
        for name, fact in facts.items():
            if isinstance(fact, dict):
                lines = [f"{json.dumps(key)}: {json.dumps(one)}" for key, one in fact.items()]
                text = "{\n  " + ",\n  ".join(lines) + "\n }"
            else:
                text = json.dumps(fact)
            yield f" {json.dumps(name)}: {text}" + ("" if name == "operations" else ",")
        yield "}" + ("" if service == list(services)[-1] else ",")
    yield "}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    check = parser.parse_args().check
    services = {service: describe_service(service) for service in ("sqs", "sns", "sts")}
    text = "\n".join(lay_out(services)) + "\n"
    if not check:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit(f"{TARGET.name} is stale: python proto/aws/generate.py")


if __name__ == "__main__":
    main()
