"""The OpenAPI document: valid, true, and nothing made from it meets a fault."""

import json
from typing import Any

import falcon.inspect
import hypothesis
import openapi_spec_validator
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.order.openapi import make_document
from tests.services.order.doubles import Store, new_order

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PATHS = [
    ("/orders", "POST", 201),
    ("/orders", "GET", 200),
    ("/orders/{order_id}", "GET", 200),
    ("/orders/{order_id}/cancel", "POST", 200),
    ("/stats", "GET", 200),
    ("/health", "GET", 200),
    ("/health/live", "GET", 200),
]
OPERATIONS = {"placeOrder", "listOrders", "getOrder", "cancelOrder", "stats", "health", "live"}


def operations(document: Any) -> dict[str, Any]:
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    }


@pytest.mark.parametrize("secured", [False, True])
def test_the_document_is_valid_openapi(secured: bool) -> None:
    document = json.loads(json.dumps(make_document(secured)))
    openapi_spec_validator.OpenAPIV31SpecValidator(document).validate()
    found = operations(document)
    assert set(found) == OPERATIONS
    assert ("security" in found["placeOrder"]) is secured
    assert "security" not in found["health"]


def test_the_document_is_served(store: Store) -> None:
    answer = store.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json == json.loads(json.dumps(make_document(secured=False)))


def test_patterns_are_those_of_json_schema() -> None:
    schemas = make_document(secured=False)["components"]["schemas"]
    pattern = schemas["NewOrder"]["properties"]["customer_email"]["pattern"]
    assert pattern.endswith("$")
    assert "\\Z" not in json.dumps(schemas)


def test_every_route_is_documented_and_every_document_has_a_route(store: Store) -> None:
    document = make_document(secured=False)
    documented = {
        (path, method.upper())
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    routes = {
        (path, method)
        for path, _, methods in inspect_routes(store.client.app)
        for method in methods
        if method != "OPTIONS" and path != "/openapi.json"
    }
    assert routes == documented


def inspect_routes(app: Any) -> list[tuple[str, str, list[str]]]:
    """(path, resource, methods) of every route, as falcon tells them."""
    return [
        (
            route.path,
            route.class_name,
            [method.method for method in route.methods if not method.internal],
        )
        for route in falcon.inspect.inspect_routes(app)
    ]


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize(("path", "method", "usual"), PATHS)
def test_nothing_made_from_the_document_meets_a_fault(
    store: Store, path: str, method: str, usual: int
) -> None:
    known = store.post(new_order()).json["id"]
    answers = set()
    schema = schemathesis.openapi.from_wsgi(
        "/openapi.json", store.client.app, headers={"Host": "localhost"}
    )

    @hypothesis.settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=schema[path][method].as_strategy(), real=hypothesis.strategies.booleans()
    )
    def ask(case: Any, real: bool) -> None:
        if real and "order_id" in (case.path_parameters or {}):
            case.path_parameters["order_id"] = known
        if real and usual == 201:  # what is made from the schema alone mostly costs too much
            case.body = new_order()
        answer = case.call_and_validate(checks=CHECKS, headers={"Host": "localhost"})
        answers.add(answer.status_code)

    ask()
    assert usual in answers
