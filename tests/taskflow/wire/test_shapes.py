"""shapes.json is what botocore says, and is read whole."""

# botocore has no types.
# mypy: allow-untyped-calls

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from proto.aws import generate
from taskflow.wire.shapes import ListOf, MapOf, Shape, Structure, load_services

SERVICES = load_services()
SESSION = botocore.session.get_session()


def run_generate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, generate.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_file_is_fresh() -> None:
    found = run_generate("--check")
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("text", [None, "{}\n"])
def test_a_stale_file_is_found_and_written(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "shapes.json"
    if text is not None:
        target.write_text(text)
    monkeypatch.setattr(generate, "TARGET", target)
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit, match=r"shapes.json is stale"):
        generate.main()
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    generate.main()
    assert set(json.loads(target.read_text())) == {"sqs", "sns", "sts"}


@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_every_operation_is_there_or_refused_by_name(service: str) -> None:
    facts = SERVICES[service]
    names = SESSION.get_service_model(service).operation_names
    assert sorted([*facts.operations, *facts.excluded]) == sorted(names)


def test_how_many_there_are() -> None:
    assert len(SERVICES["sqs"].operations) == 23
    assert len(SERVICES["sns"].operations) + len(SERVICES["sns"].excluded) == 42
    assert list(SERVICES["sts"].operations) == ["GetCallerIdentity"]


def compare(ours: Shape, theirs: Any) -> None:
    """Names, types and what is required, down to the leaves."""
    match ours:
        case Structure():
            assert theirs.type_name == "structure"
            assert list(ours.members) == list(theirs.members)
            assert list(ours.required) == theirs.required_members
            for name, member in ours.members.items():
                compare(member, theirs.members[name])
        case ListOf():
            assert theirs.type_name == "list"
            compare(ours.item, theirs.member)
        case MapOf():
            assert theirs.type_name == "map"
            assert theirs.key.type_name == "string"
            compare(ours.value, theirs.value)
        case _:
            assert ours == theirs.type_name


@pytest.mark.parametrize("service", ["sqs", "sns", "sts"])
def test_shapes_are_those_of_the_model(service: str) -> None:
    model = SESSION.get_service_model(service)
    for name, ours in SERVICES[service].operations.items():
        theirs = model.operation_model(name)
        if theirs.input_shape is not None:
            compare(ours.input, theirs.input_shape)
        assert (ours.output is None) == (theirs.output_shape is None)
        if ours.output is not None:
            compare(ours.output, theirs.output_shape)
            wrapper = theirs.output_shape.serialization.get("resultWrapper", f"{name}Result")
            assert wrapper == f"{name}Result"


def test_errors_of_sns_are_those_of_the_model() -> None:
    for shape in SESSION.get_service_model("sns").error_shapes:
        facts = shape.metadata.get("error", {"code": shape.name, "httpStatusCode": 400})
        ours = SERVICES["sns"].errors[shape.name]
        assert (ours.code, ours.status) == (facts["code"], facts["httpStatusCode"])
        assert ours.sender == facts.get("senderFault", ours.status < 500)


def test_no_documentation_is_copied() -> None:
    text = Path(generate.TARGET).read_text()
    assert "<p>" not in text
    assert "documentation" not in text
