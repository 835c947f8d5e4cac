"""The runner: one server, each client in turn, a table.

    python -m tests.clients [name ...]     drive all clients, or those named
    python -m tests.clients --record       drive all and write docs/clients.md

Exits with 1 when a client found a difference, did not end, or the server logged an error.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.clients.catalog import CLIENTS, ROOT, Client, environment
from tests.clients.report import RECORD, Outcome, show, write

START = 30.0  # seconds the server has to start, and to end
SERVING = re.compile(r"serving SQS and SNS at (\S+)")
KEY = re.compile(r"export (\w+)=(\S+)")


@dataclass
class Server:
    """A running `taskflow serve`, what it logs, and the variables of an access key for it."""

    url: str
    log: list[str]
    key: dict[str, str]

    def errors(self) -> list[str]:
        """What it logged that nobody should see."""
        return [line for line in self.log if " ERROR " in line or line.startswith("Traceback")]


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server on a free port over a new broker file; end it by its process id.

    It has a key, so that it checks the signature of every request.
    """
    with tempfile.TemporaryDirectory(prefix="taskflow-clients-") as folder:
        taskflow = [sys.executable, "-m", "taskflow.cli"]
        broker = ["--broker", f"sqlite:///{folder}/broker.db"]
        made = subprocess.run(
            [*taskflow, "keys", "add", "clients", "--shell", *broker],
            capture_output=True,
            text=True,
            check=True,
            timeout=START,
            cwd=ROOT,
        )
        process = subprocess.Popen(
            [*taskflow, "serve", "--port", "0", "--local-targets", *broker],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        log: list[str] = []
        urls: list[str] = []
        settled = threading.Event()

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                log.append(line.rstrip())
                if found := SERVING.search(line):
                    urls.append(found[1])
                    settled.set()
            settled.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            settled.wait(START)
            if not urls:
                raise SystemExit("the server did not start:\n" + "\n".join(log))
            yield Server(urls[0], log, dict(KEY.findall(made.stdout)))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join(START)


def drive(client: Client, server: Server) -> Outcome:
    """Run one client to its end, or to its limit; its lines are printed as they come."""
    print(f"== {client.name}", flush=True)
    began = time.monotonic()
    process = subprocess.Popen(
        [*client.command, server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environment(server.key),
        start_new_session=True,
    )

    def end() -> None:  # with what it started
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    limit = threading.Timer(client.limit, end)
    limit.start()
    lines = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
            lines.append(line.rstrip())
        code = process.wait()
    finally:
        limit.cancel()
        end()
    return Outcome(client, code, lines, time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(CLIENTS))
    parser.add_argument("--record", action="store_true", help="write docs/clients.md")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in CLIENTS]:
        parser.error(f"no client {unknown[0]!r}; known: {', '.join(CLIENTS)}")
    if options.record and options.names:
        parser.error("a record is of all clients: leave the names out")
    chosen = [CLIENTS[name] for name in options.names or CLIENTS]
    if missing := [one for one in chosen if not Path(one.needs).exists()]:
        parser.error(f"{missing[0].name} is not installed ({missing[0].needs}): say `make clients`")
    with serving() as server:
        outcomes = [drive(client, server) for client in chosen]
    print(f"\n{show(outcomes)}")
    for line in server.errors():
        print(f"the server logged: {line}")
    if options.record:
        write(outcomes)
        print(f"written: {RECORD.relative_to(ROOT)}")
    return 0 if all(one.good for one in outcomes) and not server.errors() else 1


if __name__ == "__main__":
    sys.exit(main())
