"""For users' tests: a clock you turn by hand, a broker in memory, a broker that fails, `drain`; and
`Sim`, a whole application on simulated time.

The fixtures `taskflow_clock`, `taskflow_broker`, `taskflow_registry`, `taskflow_drain`,
`taskflow_sim` and `taskflow_server` come with the pytest plugin
(`taskflow.testing.pytest_plugin`), which installing taskflow registers.
"""

from taskflow.testing.draining import Run, drain
from taskflow.testing.faults import FaultBroker
from taskflow.testing.manual_clock import ManualClock
from taskflow.testing.opening import memory_broker, wire_server
from taskflow.testing.simulation.attempt import Attempt
from taskflow.testing.simulation.fault_rates import Faults
from taskflow.testing.simulation.sim import Sim
from taskflow.testing.simulation.trials import chaos, crash_matrix

__all__ = [
    "Attempt",
    "FaultBroker",
    "Faults",
    "ManualClock",
    "Run",
    "Sim",
    "chaos",
    "crash_matrix",
    "drain",
    "memory_broker",
    "wire_server",
]
