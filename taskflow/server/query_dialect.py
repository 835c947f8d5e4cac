"""The query protocol: form fields in, XML out. All of SNS and STS, and older SDKs' SQS.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from collections.abc import Mapping
from typing import Any

from taskflow.server.protocol import HttpRequest, HttpResponse, check_charset, check_method
from taskflow.server.query_form import find_field, has_field, read_fields, read_parameters
from taskflow.server.query_xml import element, escape, write_members
from taskflow.wire.error_codes import WireError, common_error
from taskflow.wire.names import parse_queue_path
from taskflow.wire.shapes import Structure, load_services

# Sent to a queue's URL, these are refused.
_NOT_OF_A_QUEUE = frozenset({"CreateQueue", "ListQueues"})


class QueryDialect:
    """One request in the query protocol; `taskflow.server.protocol.Dialect` is the contract.

    `signed` is the service that the request's signature is for, if it has one.
    """

    def __init__(self, request: HttpRequest, signed: str | None) -> None:
        self._request = request
        self._signed = signed if signed in load_services() else None
        self._service = self._signed or "sqs"

    def identify(self) -> tuple[str, str]:
        request = self._request
        check_method(request, "GET", "POST")
        check_charset(request)
        # What is asked for is found before anything else is decoded: nobody has been asked for a
        # signature yet.
        fields = {name: find_field(request, name) for name in ("Action", "Version")}
        if has_field(request, "TopicArn"):
            fields["TopicArn"] = ""
        self._service = self._signed or self._find_service(fields)
        if not fields.get("Action"):
            raise common_error("MissingAction", "The request must contain the parameter Action.")
        if fields["Action"] in _NOT_OF_A_QUEUE and parse_queue_path(request.path):
            text = f"The action {fields['Action']} is not valid for this endpoint."
            raise common_error("InvalidAction", text)
        return self._service, fields["Action"]

    def _find_service(self, fields: Mapping[str, str]) -> str:
        services = load_services()
        for name, service in services.items():
            if fields.get("Version") == service.version:
                return name
        action = fields.get("Action", "")
        having = [name for name, one in services.items() if action in one.operations]
        # AddPermission and RemovePermission are in SQS and in SNS.
        if len(having) > 1 and "TopicArn" in fields and not parse_queue_path(self._request.path):
            return "sns"
        having += [name for name, one in services.items() if action in one.excluded]
        return having[0] if having else self._service

    def read(self, shape: Structure, defaults: Mapping[str, str]) -> dict[str, Any]:
        return read_parameters(shape, read_fields(self._request), defaults)

    def write(
        self, action: str, shape: Structure | None, result: Mapping[str, Any], request_id: str
    ) -> HttpResponse:
        inner = ""
        if shape is not None:
            inner = element(f"{action}Result", "".join(write_members(shape, result)))
        inner += element("ResponseMetadata", element("RequestId", escape(request_id)))
        return self._answer(200, f"{action}Response", inner, request_id)

    def refuse(self, error: WireError, request_id: str) -> HttpResponse:
        message = error.message
        if error.shape == "QueueDoesNotExist" and self._service == "sqs":
            message = message.removesuffix(".") + " for this wsdl version."
        inner = element("Type", "Sender" if error.sender else "Receiver")
        inner += element("Code", escape(error.code)) + element("Message", escape(message))
        if self._service == "sqs":
            inner += "<Detail/>"
        inner = element("Error", inner) + element("RequestId", escape(request_id))
        return self._answer(error.status, "ErrorResponse", inner, request_id)

    def _answer(self, status: int, root: str, inner: str, request_id: str) -> HttpResponse:
        space = load_services()[self._service].namespace
        text = f'<?xml version="1.0"?>\n<{root} xmlns="{space}">{inner}</{root}>\n'
        headers = (("x-amzn-requestid", request_id), ("content-type", "text/xml"))
        return HttpResponse(status, headers, text.encode())
