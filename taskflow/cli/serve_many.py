"""`taskflow serve --processes`: several servers on one port, under a supervisor."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taskflow.cli.log_lines import log_flags
from taskflow.cli.service_manager import managed
from taskflow.cli.stop_signals import signals_to
from taskflow.clock import SystemClock
from taskflow.config import address_of
from taskflow.forking import RANDOM
from taskflow.worker.supervisor import Supervisor


def serve_many(options: Any, processes: int, port: int, address: str | None) -> None:
    """Run until stopped; exits with the worst exit code of the children. The port is reserved, and
    the broker's identity is there."""
    command = [
        # -P: what lies in the current folder must not stand in for modules of Python.
        *[sys.executable, "-P", "-m", "taskflow.cli", *log_flags(), "serve"],
        *["--supervised", str(os.getpid()), "--port", str(port), *_flags(options)],
    ]
    environment = {
        **os.environ,
        "TASKFLOW_BROKER": address_of(address),  # it may hold a password: no command line has it
        **({} if options.keys is None else {"TASKFLOW_KEYS": str(options.keys)}),
    }
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="taskflow-") as folder:
        supervisor = Supervisor(
            lambda _: command,
            processes=processes,
            folder=Path(folder),
            environment=environment,
            once=False,
            clock=clock,
            random=RANDOM,
        )
        # Its processes listen when they have started; a death is the supervisor's to mend.
        with managed(lambda: ([], []), clock) as stops, signals_to(supervisor, stops):
            code = supervisor.run()
    sys.exit(code)


def _flags(options: Any) -> Sequence[str]:
    """As the options are said on the command line."""
    values: Mapping[str, object] = {
        "host": options.host,
        "account": options.account,
        "region": options.region,
        "url": options.url,
        "certificate": options.certificate,
        "certificate-key": options.certificate_key,
    }
    flags = [word for name, value in values.items() if value for word in (f"--{name}", str(value))]
    switches = {"allow-reset": options.allow_reset, "local-targets": options.local_targets}
    return [*flags, *(f"--{name}" for name, on in switches.items() if on)]
