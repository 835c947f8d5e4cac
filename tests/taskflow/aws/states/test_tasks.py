"""Tasks on AWS, with the state in each place that hosts share."""

import pytest

from tests.taskflow.aws.test_tasks import *

pytestmark = pytest.mark.slow
