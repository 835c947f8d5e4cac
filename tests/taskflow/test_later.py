"""Modules that are imported when something of them is first used."""

import copy
import sys
from pathlib import Path

import pytest

from taskflow.later import Later


def test_a_module_is_imported_at_its_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seldom.py").write_text("value = [1]")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "seldom", raising=False)
    seldom = Later("seldom")
    assert "seldom" not in sys.modules
    assert seldom.value == [1]
    assert seldom.value is sys.modules["seldom"].value
    monkeypatch.setattr("seldom.value", [2])
    assert seldom.value == [2]  # the module's own, whatever becomes of it
    del sys.modules["seldom"]


def test_what_is_not_there_is_said_where_it_is_used() -> None:
    nowhere = Later("taskflow.nowhere")
    with pytest.raises(ModuleNotFoundError, match=r"taskflow\.nowhere"):
        nowhere.value  # noqa: B018
    with pytest.raises(AttributeError, match=r"taskflow\.later.*nosuch"):
        Later("taskflow.later").nosuch  # noqa: B018


def test_what_python_asks_of_any_object_imports_nothing() -> None:
    nowhere = Later("taskflow.nowhere")
    assert not hasattr(nowhere, "__wrapped__")
    with pytest.raises(ModuleNotFoundError, match=r"taskflow\.nowhere"):
        copy.copy(nowhere).value  # noqa: B018
