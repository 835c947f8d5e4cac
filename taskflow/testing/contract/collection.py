"""Which names of a module of the suite are for pytest: its tests, and the fixtures they use."""

from collections.abc import Mapping, Sequence

import pytest

from taskflow.testing.contract.needs import needs


@pytest.fixture
def _made() -> None:
    """Only to know what pytest makes of a fixture."""


def collected(names: Mapping[str, object], needed: Sequence[str] = ()) -> list[str]:
    """The `__all__` of a module with these names, so that `import *` brings nothing else. `needed`
    is what each of its tests needs of a broker, beside what its own mark says."""
    tests = [name for name, value in names.items() if name.startswith("test_") and callable(value)]
    if needed:
        for name in tests:
            needs(*needed)(names[name])
    return sorted(
        [*tests, *(name for name, value in names.items() if isinstance(value, type(_made)))]
    )
