"""Whether a process that is measured has the taskflow it was given, and no other that is installed.

Part of every peer of ours: the sender, the worker, the server.
"""

import os
from pathlib import Path

import taskflow

VARIABLE = "BENCH_TASKFLOW"
"""The folder of the package to be measured; not set, any will do."""


def check() -> None:
    """Raises ImportError when taskflow was imported from elsewhere."""
    wanted = os.environ.get(VARIABLE)
    if wanted and not Path(taskflow.__file__).parent.samefile(wanted):
        raise ImportError(f"not the taskflow that is to be measured: {taskflow.__file__}")
