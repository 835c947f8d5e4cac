"""The contract suite: what a broker must do, as tests that anybody's broker can be held to.

A test module of yours imports them and has a fixture `broker` (docs/testing.md):

    from taskflow.testing.contract import *

Or the tests of one protocol, or of one subject of it: `taskflow.testing.contract.traffic`,
`taskflow.testing.contract.traffic.long_poll`. The names that come are the tests and the fixtures
that they use, and no others. Importing it needs pytest.
"""

import pytest

PARTS = ("traffic", "admin", "coordination", "runs", "apply")
"""The parts of the suite: the four protocols, and `apply`, which stands over them."""

pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in PARTS), f"{__name__}.fixtures")

from taskflow.testing.contract.admin import *  # noqa: E402
from taskflow.testing.contract.apply import *  # noqa: E402
from taskflow.testing.contract.collection import collected  # noqa: E402
from taskflow.testing.contract.coordination import *  # noqa: E402
from taskflow.testing.contract.runs import *  # noqa: E402
from taskflow.testing.contract.traffic import *  # noqa: E402

__all__ = collected(globals())
