"""Tasks on AWS, with the state in each place that hosts share."""

from tests.taskflow.aws.test_tasks import *
