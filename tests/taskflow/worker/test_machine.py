"""The machine of `inflight_machine`, short and always the same; the long form is a model test."""

from hypothesis import Phase, settings

from tests.taskflow.worker.inflight_machine import InflightMachine

TestInflight = InflightMachine.TestCase
TestInflight.settings = settings(
    max_examples=10,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
