"""Runs a plan: starts the processes, does the faults when they are due, starts the dead again."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from taskflow import Registry, open_broker
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.errors import BrokerError
from taskflow.topology import declare
from tests.chaos.disk import Disk
from tests.chaos.handlers import subscribe_all
from tests.chaos.history import History, clock
from tests.chaos.plan import (
    MAKERS,
    QUEUES,
    SETTLED_LATER,
    VISIBILITY,
    WORKERS,
    Fault,
    Plan,
    contract,
)
from tests.chaos.server import Server

ROOT = Path(__file__).parents[2]
TICK = 0.03


@dataclass
class Slot:
    """A place for one process; `generation` counts how often it was filled."""

    whom: str
    number: int
    generation: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    stopped_until: float = 0.0
    killed: bool = False
    finished: bool = False

    @property
    def who(self) -> str:
        return f"{self.whom}-{self.number}-{self.generation}"


@dataclass
class Conductor:
    """One run in one folder; `history` and the files of the processes tell what happened."""

    folder: Path
    plan: Plan
    arguments: tuple[int, int, int]
    say: bool = True
    scheme: str = "sqlite"
    older: Path | None = None
    """Where an older `taskflow` lies, which every second worker and maker runs."""
    slots: list[Slot] = field(default_factory=list)
    ends: list[tuple[float, str]] = field(default_factory=list)

    def run(self) -> str:
        """Until everything has come to rest or the time is up; answers the broker's address."""
        self.histories = self.folder / "history"
        self.histories.mkdir()
        self.history = History(self.histories, "conductor")
        files = 3 if self.scheme == "sharded" else 1
        self.disk = Server() if self.scheme == "postgresql" else Disk(self.folder, files)
        self.address = self.disk.address
        self.log = (self.folder / "processes.log").open("ab")
        self.pause = threading.Event()
        self.broker = open_broker(self.address)
        if self.address.startswith("sqlite:"):
            self.address = self.address.partition("?")[0]  # the number of files may change
        self.resharder: subprocess.Popen[bytes] | None = None
        try:
            self._conduct()
            if isinstance(self.broker, ShardedBroker):
                self.broker.resharding.run(2)
        finally:
            self._end_all()
            self.broker.close()
            self.log.close()
        return self.address

    def close(self) -> None:
        """Let the disk go, with the broker file on it."""
        self.disk.close()

    def _conduct(self) -> None:
        declare(self.broker, subscribe_all(Registry()))
        for kind in contract():
            self.history.note("kind", visibility=VISIBILITY, **kind)
        self.history.note("begin", disk=self.disk.how, seed=self.plan.seed)
        self.slots += [Slot("worker", number) for number in range(WORKERS)]
        self.slots += [Slot("maker", number) for number in range(MAKERS)]
        self.started = clock.now()
        faults = list(self.plan.faults)
        told = self.started
        while True:
            now = clock.now()
            self._look_after(now)
            while faults and self.started + faults[0].at <= now:
                self._do(faults.pop(0), now)
            self._end_faults(now, everything=False)
            quiet = not faults and not self.ends and all(slot.finished for slot in self._makers())
            if quiet and self._at_rest():
                self.history.note("rest")
                return
            if now > self.started + self.plan.seconds * 2 + SETTLED_LATER:
                self.history.note("gave-up")
                return
            if self.say and now > told + 15:
                told = now
                print(f"  {now - self.started:4.0f} s, {len(faults)} faults to come", flush=True)
            self.pause.wait(TICK if faults or self.ends else 0.2)

    def _makers(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.whom == "maker"]

    def _at_rest(self) -> bool:
        try:
            held = [self.broker.counts(name) for name in QUEUES]
        except BrokerError:
            return False
        return not any(count.visible + count.in_flight + count.delayed for count in held)

    # ---- processes --------------------------------------------------------------------------
    def _look_after(self, now: float) -> None:
        """Let stopped processes go on in time; start what has died, if it has work left."""
        for slot in self.slots:
            if slot.stopped_until and slot.stopped_until <= now:
                self._go_on(slot)
            if slot.finished:
                continue
            if slot.process is not None:
                code = slot.process.poll()
                if code is None:
                    continue
                if not slot.killed:
                    self.history.note("exited", process=slot.who, code=code)
                if slot.whom == "maker" and code == 0:
                    slot.finished = True
                    continue
            self._start(slot)

    def _start(self, slot: Slot) -> None:
        slot.generation += 1
        slot.killed, slot.stopped_until = False, 0.0
        more = [*map(str, self.arguments), str(self.started)] if slot.whom == "maker" else []
        place = self.older if self.older is not None and slot.number % 2 else ROOT
        slot.process = self._spawn(slot.whom, slot.who, self.address, *more, place=place)

    def _spawn(self, module: str, *arguments: str, place: Path = ROOT) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", f"tests.chaos.{module}", str(self.histories), *arguments],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(place)},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    def _go_on(self, slot: Slot) -> None:
        slot.stopped_until = 0.0
        if slot.process is not None and slot.process.poll() is None:
            os.kill(slot.process.pid, signal.SIGCONT)
        self.history.note("continued", process=slot.who)

    # ---- faults -----------------------------------------------------------------------------
    def _do(self, fault: Fault, now: float) -> None:
        match fault.what:
            case "kill":
                self._kill(self._victim(fault))
            case "stop":
                slot = self._victim(fault)
                if slot.process is not None and not slot.stopped_until:
                    self.history.note("stop", process=slot.who)
                    os.kill(slot.process.pid, signal.SIGSTOP)
                    slot.stopped_until = now + fault.seconds
            case "lock":
                who = f"locker-{len(self.ends)}-{int(fault.at * 1000)}"
                self.locker = self._spawn("locker", who, self.address, str(fault.seconds))
                self.ends.append((now + fault.seconds, "lock"))
            case "disk":
                self.history.note("disk-full")
                self.disk.fill()
                self.ends.append((now + fault.seconds, "disk"))
            case "shards":
                self._end_resharder(kill=True)
                self.resharder = subprocess.Popen(
                    [sys.executable, "-m", "taskflow", "shards", str(fault.slot)],
                    cwd=ROOT,
                    env={**os.environ, "TASKFLOW_BROKER": self.address},
                    stdout=self.log,
                    stderr=self.log,
                )
                self.history.note("resharding", files=fault.slot)
                self.ends.append((now + fault.seconds, "shards" if fault.seconds else "reshard"))

    def _end_resharder(self, *, kill: bool) -> bool:
        """Whether none is at it."""
        if self.resharder is None:
            return True
        if kill:
            self.resharder.kill()
            self.resharder.wait()
        elif self.resharder.poll() is None:
            return False
        self.history.note("resharded", code=self.resharder.returncode)
        self.resharder = None
        return True

    def _victim(self, fault: Fault) -> Slot:
        """The process meant, alive; a worker instead of a maker that has nothing left to do."""
        for slot in self.slots:
            if (slot.whom, slot.number) == (fault.whom, fault.slot):
                if not slot.finished:
                    self._look_after(clock.now())  # one that has just died is started first
                if not slot.finished:
                    return slot
        return self.slots[fault.slot]

    def _kill(self, slot: Slot) -> None:
        assert slot.process is not None
        if slot.stopped_until:
            self.history.note("continued", process=slot.who)
        slot.process.kill()
        slot.process.wait()
        slot.killed = True
        self.history.note("killed", process=slot.who)

    def _end_faults(self, now: float, *, everything: bool) -> None:
        for end in list(self.ends):
            if end[0] > now and not everything:
                continue
            if end[1] == "disk":
                self.disk.free()
                self.history.note("disk-free")
            elif end[1] in ("shards", "reshard"):
                if not self._end_resharder(kill=everything or end[1] == "shards"):
                    continue
            elif self.locker.poll() is None and not everything:
                continue
            self.ends.remove(end)

    def _end_all(self) -> None:
        """Ask every process to stop; kill what has not after a while."""
        self._end_faults(clock.now(), everything=True)
        left = []
        for slot in self.slots:
            if slot.process is not None and slot.process.poll() is None:
                if slot.stopped_until:
                    self._go_on(slot)
                slot.process.terminate()
                left.append(slot)
        for slot in left:
            assert slot.process is not None
            try:
                code = slot.process.wait(10)
            except subprocess.TimeoutExpired:
                self._kill(slot)
                self.history.note("would-not-stop", process=slot.who)
            else:
                self.history.note("exited", process=slot.who, code=code)
