"""A workflow on AWS from its call to its end, with the state in each place that hosts share."""

import pytest

from tests.taskflow.aws.test_workflows import (
    shop,  # noqa: F401 - a fixture
    test_a_workflow_from_its_call_to_its_end,  # noqa: F401
)

pytestmark = pytest.mark.slow  # moto takes its time
