"""What a worker holds, under any interleaving of its steps with faults, lost leases and crashes."""

from hypothesis import settings

from tests.taskflow.worker.inflight_machine import InflightMachine


class LongMachine(InflightMachine):
    """The machine has one set of settings; these are another's."""


TestInflightModel = LongMachine.TestCase
TestInflightModel.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
