"""A plan as rows: each part is a run that knows what follows it, all written in one change."""

from collections import deque
from typing import Any, NamedTuple

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Add, Change, Put, Remove, Send
from taskflow.errors import RunExists, VersionConflict
from taskflow.limits import check_message
from taskflow.message import Message, new_id
from taskflow.outgoing import collecting
from taskflow.placing import new_place
from taskflow.tasks.canvas.beginnings import link_of, queue_of_node
from taskflow.tasks.canvas.call import Call
from taskflow.tasks.canvas.chain import Chain
from taskflow.tasks.canvas.early_rows import EarlyRows
from taskflow.tasks.canvas.group import Group
from taskflow.tasks.canvas.links import ErrorCall, Link, Members, Place, Up, member_id
from taskflow.tasks.canvas.node import Node
from taskflow.tasks.canvas.plan_options import CheckedPlan
from taskflow.tasks.canvas.plan_shape import shape_of
from taskflow.tasks.preparing import KEEP_FAILED, end_run, put_run, run_message
from taskflow.tasks.priorities import check_priorities
from taskflow.tasks.result import Result
from taskflow.tasks.run import RUN, Run, load
from taskflow.telemetry.tracing import carried_header

GROUP = "group"
"""What the runs of groups are called instead of a task's name."""
MOST_MEMBERS = 10**9
"""Numbers that are kept free for the members of a group of which nobody knows how many it has."""


class _Part(NamedTuple):
    """A part that is to be written, and what is known of its place."""

    node: Node
    id: str
    queue: str = ""
    next: Link | None = None
    tail: str | None = None
    up: Up | None = None
    takes: str | None = None


def plant(node: Node, broker: Broker, options: CheckedPlan) -> Result[Any]:
    """Store a plan and start it; answers the result of its root."""
    now = broker.clock.now()
    out = collecting(broker)
    root = options.id
    if root is None:
        place = new_place(broker)
        root = new_id(now, broker.random, place) if out is None else out.new_id("plan")
    early = EarlyRows(broker, root) if options.id is None and out is None else None
    planting = _Planting(root, options, now, broker, early)
    if options.id is not None:
        planting.shape = shape_of(node)
    if early is not None:
        with early.or_none():
            planting.write(node)
            broker.apply([planting.change()])[0].or_raise()
        return Result(root, broker=broker)
    planting.write(node)
    change = planting.change()
    if out is not None and options.id is None:
        out.add("plan", sends=change.sends, records=planting.records, counters=change.counters)
        return Result(root, broker=broker)
    refused = broker.apply([change])[0].refused
    if isinstance(refused, VersionConflict):
        _check_same(broker, root, planting.shape or "")
        return Result(root, broker=broker, created=False)
    if refused is not None:
        raise refused
    return Result(root, broker=broker)


def _check_same(broker: Broker, root: str, shape: str) -> None:
    """Raise RunExists when the run of this id is not that of this plan."""
    row = load(broker, [root]).get(root)
    if row is None or row.run.place is None or row.run.place.shape != shape:
        raise RunExists(root, "it is not of this plan")


class _Planting:
    """Writes the runs of one plan, without recursion: plans may be deep."""

    def __init__(
        self, root: str, options: CheckedPlan, now: float, broker: Broker, early: EarlyRows | None
    ) -> None:
        self._root = root
        self._early = early
        self._options = options
        self._now = now
        self._broker = broker
        self._most = broker.max_message_bytes
        self.shape: str | None = None
        self._numbers = 0
        self._head_by_id: dict[str, Link] = {}
        self.records: list[Put] = []
        self._counters: list[Add] = []
        self._started: set[str] = set()
        self._messages: dict[str, list[Message]] = {}

    def change(self) -> Change:
        """All of the plan, but for what is stored already."""
        sends = [Send(queue, messages) for queue, messages in self._messages.items()]
        records: list[Put | Remove] = list(self.records)
        if self._early is not None:
            records += self._early.closed()
        return Change(records=records, counters=self._counters, sends=sends)

    def write(self, node: Node) -> None:
        """Write the runs of `node`, and start what can begin."""
        left: deque[_Part] = deque()
        head = self._spread(left, _Part(node, self._root))
        self._started.add(head.id)
        self._write_all(left)

    def _write_all(self, left: "deque[_Part]") -> None:
        while left:
            part = left.popleft()
            if isinstance(part.node, Call):
                self._write_call(part, part.node)
            elif isinstance(part.node, Group) and part.node.rest is not None and self._early:
                self._stream_group(part, part.node, self._early)
            elif isinstance(part.node, Group):
                self._write_group(part, part.node, left)

    def _spread(self, left: "deque[_Part]", part: _Part) -> Link:
        """The links of a chain into one; answers where the part begins."""
        after = part.next.queue if part.next else part.up.group.queue if part.up else ""
        if not isinstance(part.node, Chain):
            queue = queue_of_node(part.node) or after
            left.append(part._replace(queue=queue))
            return link_of(part.id, queue, part.node)
        nodes = part.node.parts
        links: list[Link] = []
        for at in reversed(range(len(nodes))):
            id = part.id if at == len(nodes) - 1 else self._number()
            after = queue_of_node(nodes[at]) or after
            links.append(link_of(id, after, nodes[at]))
        links.reverse()
        for at, link in enumerate(links):  # an empty group at the end goes where the one before did
            if not link.queue and at:
                links[at] = msgspec.structs.replace(link, queue=links[at - 1].queue)
        takes = part.takes
        for at, (node, link) in enumerate(zip(nodes, links, strict=True)):
            last = link.id == part.id
            left.append(
                _Part(
                    node,
                    link.id,
                    queue=link.queue,
                    next=part.next if last else links[at + 1],
                    tail=part.tail if last else part.id,
                    up=part.up if last else None,
                    takes=takes,
                )
            )
            takes = link.id
        return links[0]

    def _number(self, count: int = 1) -> str:
        self._numbers += count
        return member_id(self._root, self._numbers - count)

    def _write_call(self, part: _Part, call: Call) -> None:
        chosen = call.chosen
        if chosen.priority is not None:
            check_priorities(self._broker)
        expires_at = chosen.expires_at
        if chosen.expires_in is not None:
            expires_at = self._now + chosen.expires_in
        self._write(
            part,
            Run(
                task=call.target.name,
                queue=call.queue,
                args=msgspec.Raw(call.args),
                kwargs=msgspec.Raw(call.kwargs),
                keep=self._options.keep,
                keep_failed=max(self._options.keep, KEEP_FAILED),
                group=chosen.group,
                priority=chosen.priority,
                waits=chosen.delay,
                headers=chosen.headers,
                trace=carried_header(),
                expires_at=expires_at,
                place=self._place(part, None if call.immutable else part.takes),
                durable=call.target.begins,
            ),
        )

    def _write_group(self, part: _Part, group: Group, left: "deque[_Part]") -> None:
        nodes = group.held()
        size, first = len(nodes), self._numbers
        self._numbers += size
        link = Link(part.id, part.queue)
        ids = [member_id(self._root, first + at) for at in range(size)]
        begins: list[Link] = []
        members: list[_Part] = []
        for at in reversed(range(size)):  # who follows a member must be known before it
            starts = None
            if group.limit is not None and at + group.limit < size:
                starts = begins[size - 1 - (at + group.limit)]
            up = Up(link, group.stops, starts)
            one = _Part(nodes[at], ids[at], up=up, takes=part.takes)
            spread: deque[_Part] = deque()
            begins.append(self._spread(spread, one))
            members += spread
        begins.reverse()
        self._heads_of(ids, begins)
        left.extend(members)
        if part.id in self._started:
            self._started.update(one.id for one in begins[: group.limit])
        least = group.least(size)
        self._write_group_itself(part, Members(first, size, group.errors, least, group.limit))

    def _stream_group(self, part: _Part, group: Group, early: EarlyRows) -> None:
        """The members as they are made, each written once it is known who begins after it."""
        first, size, limit = self._numbers, 0, group.at_once
        self._numbers += MOST_MEMBERS
        up = Up(Link(part.id, part.queue), group.stops)
        held: deque[deque[_Part]] = deque()
        for node in group.each():
            id = member_id(self._root, first + size)
            spread: deque[_Part] = deque()
            begin = self._spread(spread, _Part(node, id, up=up, takes=part.takes))
            self._heads_of([id], [begin])
            if size < limit and part.id in self._started:
                self._started.add(begin.id)
            held.append(spread)
            if len(held) > limit:
                before = held.popleft()
                at = next(at for at, one in enumerate(before) if one.up is up)
                before[at] = before[at]._replace(up=msgspec.structs.replace(up, starts=begin))
                self._write_all(before)
                self.records = early.store(self.records)
            size += 1
        for spread in held:
            self._write_all(spread)
            self.records = early.store(self.records)
        members = Members(first, size, group.errors, group.least(size), limit)
        self._write_group_itself(part, members)

    def _write_group_itself(self, part: _Part, members: Members) -> None:
        running = part.id in self._started and members.size > 0 and part.queue != ""
        run = Run(
            task=GROUP,
            queue=part.queue,
            generation=2 if running else 1,
            keep=self._options.keep,
            keep_failed=max(self._options.keep, KEEP_FAILED),
            place=self._place(part, part.takes, members),
        )
        self._write(part, run, starts=not running)
        if members.size and part.queue:
            self._counters.append(Add(RUN, part.id, members.size))

    def _heads_of(self, ids: list[str], begins: list[Link]) -> None:
        for id, begin in zip(ids, begins, strict=True):
            if id != begin.id:
                self._head_by_id[id] = begin

    def _place(self, part: _Part, takes: str | None, members: Members | None = None) -> Place:
        on_error = None
        if part.id == self._root and (call := self._options.on_error) is not None:
            args, kwargs = msgspec.Raw(call.args), msgspec.Raw(call.kwargs)
            on_error = ErrorCall(call.target.name, call.queue, args, kwargs, call.immutable)
        return Place(
            root=self._root,
            next=part.next,
            tail=part.tail,
            up=part.up,
            takes=takes,
            head=self._head_by_id.pop(part.id, None),
            members=members,
            on_error=on_error,
            shape=self.shape if part.id == self._root else None,
        )

    def _write(self, part: _Part, run: Run, starts: bool = True) -> None:
        if not run.queue:  # there is no call in all of the plan, and nothing to wait for
            put, _ = end_run(part.id, 0, run, "done", self._now)
            self.records.append(put)
            return
        begins = part.id in self._started and starts
        put = put_run(part.id, run, "waiting" if begins else "suspended", 0)
        check_message(put.value, {}, self._most)
        self.records.append(put)
        if begins:
            message = run_message(part.id, run, run.waits, self._most)
            self._messages.setdefault(run.queue, []).append(message)
