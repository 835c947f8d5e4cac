"""For users' tests: a clock you turn by hand, a broker in memory, a broker that fails, and `drain`.

The fixtures `taskflow_clock`, `taskflow_broker`, `taskflow_registry`, `taskflow_drain` and
`taskflow_server` come with the pytest plugin (`taskflow.testing.pytest_plugin`), which installing
taskflow registers.
"""

from taskflow.testing.draining import Run, drain
from taskflow.testing.faults import FaultBroker
from taskflow.testing.manual_clock import ManualClock
from taskflow.testing.opening import memory_broker, wire_server

__all__ = ["FaultBroker", "ManualClock", "Run", "drain", "memory_broker", "wire_server"]
