"""What a worker holds, under any interleaving of its steps with faults, lost leases and crashes."""

from hypothesis import settings

from tests.model.examples import TIMES
from tests.taskflow.worker.inflight_machine import InflightMachine


class LongMachine(InflightMachine):
    """The machine has one set of settings; these are another's."""


TestInflightModel = LongMachine.TestCase
TestInflightModel.settings = settings(
    max_examples=60 * TIMES, stateful_step_count=60, deadline=None
)
