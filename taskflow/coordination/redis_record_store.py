"""RedisRecordStore: records, keys and ids of changes in Redis: the one file that imports redis.

Each is a text of JSON under a key of its own, and is written by a script that first looks whether
all that was read is still so. Beside them lie sorted sets, of which a list is read: their members
sort as text, since a score has too few digits. No cluster: a script writes keys of many names.
https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from taskflow.broker.record import RecordQuery
from taskflow.coordination.change_plan import alive
from taskflow.coordination.record_queries import due_order, fits
from taskflow.coordination.record_store import (
    Contended,
    Holding,
    Kept,
    Names,
    Note,
    Things,
)
from taskflow.errors import BrokerUnavailable, ConfigError

PREFIX = "taskflow"
TIMEOUT = 15.0  # seconds for an answer
_EXPIRING = f"{PREFIX}:expiring"
_READ, _FEWEST = 500, 50  # records of one request
# Both give the answer of a change that was made and not answered again as one that was refused.
_NO_SECOND_TRIES = Retry(NoBackoff(), 0)

_WRITE = """
local asked = cjson.decode(ARGV[1])
for _, one in ipairs(asked.seen) do
  if redis.call('GET', one[1]) ~= one[2] then return 0 end
end
for _, one in ipairs(asked.left) do redis.call('ZREM', one[1], one[2]) end
for _, one in ipairs(asked.gone) do redis.call('DEL', one) end
for _, one in ipairs(asked.put) do redis.call('SET', one[1], one[2]) end
for _, one in ipairs(asked.joined) do redis.call('ZADD', one[1], one[2], one[3]) end
return 1
"""
_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class _Script(msgspec.Struct):
    """What the script is told: what must be so, and what is to be written then."""

    seen: list[tuple[str, str | bool]] = msgspec.field(default_factory=list)
    put: list[tuple[str, str]] = msgspec.field(default_factory=list)
    gone: list[str] = msgspec.field(default_factory=list)
    joined: list[tuple[str, str, str]] = msgspec.field(default_factory=list)
    left: list[tuple[str, str]] = msgspec.field(default_factory=list)


class RedisRecordStore:
    """The contract is `record_store.RecordStore`."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._write = client.register_script(_WRITE)

    def read(self, names: Names) -> Things:
        return self._read(names)[1]

    def _read(self, names: Names) -> tuple[dict[str, str], Things]:
        """The texts as they lie there, and what they say."""
        records = {_record_key(*name): name for name in names.records}
        keys = {f"{PREFIX}:key:{key}": key for key in names.keys}
        notes = {f"{PREFIX}:change:{id}": id for id in names.changes}
        texts = self._get([*records, *keys, *notes])
        things = Things(
            records={records[key]: _read(Kept, key, texts[key]) for key in records if key in texts},
            keys={keys[key]: _read(Holding, key, texts[key]) for key in keys if key in texts},
            changes={notes[key]: _read(Note, key, texts[key]) for key in notes if key in texts},
        )
        return texts, things

    def _get(self, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(keys), _READ):
            some = keys[start : start + _READ]
            with _asking():
                texts: Any = self._client.mget(some)
            found |= {key: text for key, text in zip(some, texts, strict=True) if text is not None}
        return found

    def change(self, names: Names, decide: Callable[[Things], Things]) -> None:
        texts, seen = self._read(names)
        wanted = decide(seen)
        if not wanted:
            return
        script = _Script()
        for name, kept in wanted.records.items():
            before, key = seen.records.get(name), _record_key(*name)
            after = {} if kept is None else _indexes(kept, key)
            old = {} if before is None else _indexes(before, key)
            script.left += [one for one in old.items() if after.get(one[0]) != one[1]]
            script.joined += [(index, "0", member) for index, member in after.items()]
            expires_at = None if kept is None else kept.record.expires_at
            _add(script, key, texts.get(key), kept, expires_at)
        for text, holding in wanted.keys.items():
            key = f"{PREFIX}:key:{text}"
            _add(script, key, texts.get(key), holding, None if holding is None else holding.until)
        for id, note in wanted.changes.items():
            key = f"{PREFIX}:change:{id}"
            _add(script, key, texts.get(key), note, None if note is None else note.expires_at)
        self._run(script)

    def _run(self, script: _Script) -> None:
        """Raises Contended when something is not as it was seen."""
        with _asking():
            made = self._write(args=[_encode(script)])
        if not made:
            raise Contended

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> Sequence[Kept]:
        found: list[Kept] = []
        for some in self._walk(query, after):
            found += [one for one in some if fits(one.record, query, now)]
            if len(found) >= query.limit:
                break
        return found[: query.limit]

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for some in self._walk(RecordQuery(kind=kind, label=label), None):
            states = [one.record.state for one in some if alive(one.record.expires_at, now)]
            counted.update(state for state in states if state is not None)
        return dict(counted)

    def _walk(
        self, query: RecordQuery, after: tuple[float, int] | None
    ) -> Iterator[Sequence[Kept]]:
        """What an index has, in the order asked for, some at a time."""
        index, backwards = _index_of(query), query.order == "newest"
        size = min(_READ, max(query.limit, _FEWEST))
        bound = "+" if backwards else "-"
        if after is not None:  # what has this place begins with it, and with the sign below
            place = due_order(*after) if query.order == "due" else f"{after[1]:019d}"
            bound = f"[{place}" if backwards else f"[{place};"
        while True:
            with _asking():
                members: Any = (
                    self._client.zrevrangebylex(index, bound, "-", 0, size)
                    if backwards
                    else self._client.zrangebylex(index, bound, "+", 0, size)
                )
            texts = self._get([member.partition(":")[2] for member in members])
            yield [_read(Kept, key, text) for key, text in texts.items()]
            if len(members) < size:
                return
            bound = f"({members[-1]}"

    def expire(self, now: float, limit: int) -> int:
        with _asking():
            old: Any = self._client.zrangebyscore(_EXPIRING, "-inf", now, 0, limit)
        texts = self._get(old)
        gone = 0
        for key in old:
            script = _Script(left=[(_EXPIRING, key)])
            text = texts.get(key)
            script.seen.append((key, text if text is not None else False))
            if text is not None:
                if key.startswith(f"{PREFIX}:record:"):
                    script.left += _indexes(_read(Kept, key, text), key).items()
                script.gone.append(key)
            try:
                self._run(script)
            except Contended:  # it was put anew meanwhile
                continue
            gone += 1
        return gone

    def close(self) -> None:
        """Close the connections to Redis."""
        self._client.close()


def _read(what: type[T], key: str, text: str) -> T:
    """What lies under a key. Raises BrokerUnavailable for what is not ours."""
    try:
        return msgspec.json.decode(text, type=what)
    except msgspec.MsgspecError as error:
        raise BrokerUnavailable(f"redis holds something else under {key!r}: {error}") from error


@contextmanager
def _asking() -> Iterator[None]:
    """Have errors of Redis in our words."""
    try:
        yield
    except RedisError as error:
        raise BrokerUnavailable(f"redis: {' '.join(str(error).split())}") from error


def open_redis(url: str) -> RedisRecordStore:
    """Redis by its address; nothing is asked yet. Raises ConfigError for one that is none, without
    its password."""
    try:
        client = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=_NO_SECOND_TRIES,
        )
    except (ValueError, RedisError):
        raise ConfigError(
            "state= is no address of Redis; write redis://user:password@host:6379/0"
        ) from None
    return RedisRecordStore(client)


def _record_key(kind: str, key: str) -> str:
    return f"{PREFIX}:record:{len(kind)}:{kind}:{key}"


def _index(name: str, kind: str, value: str = "") -> str:
    return f"{PREFIX}:{name}:{len(kind)}:{kind}:{value}"


def _indexes(kept: Kept, key: str) -> dict[str, str]:
    """The sorted sets that a record is in, and what it is there."""
    record = kept.record
    turn = f"{kept.number:019d}:{key}"
    found = {_index("listed", record.kind): turn}
    for name in ("parent", "label", "state"):
        if (value := getattr(record, name)) is not None:
            found[_index(name, record.kind, value)] = turn
    if record.due_at is not None:
        found[_index("due", record.kind)] = f"{due_order(record.due_at, kept.number)}:{key}"
    return found


def _index_of(query: RecordQuery) -> str:
    """The sorted set that has the fewest that do not fit."""
    if query.order == "due":
        return _index("due", query.kind)
    if query.parent is not None:
        return _index("parent", query.kind, query.parent)
    if len(query.states) == 1:
        return _index("state", query.kind, next(iter(query.states)))
    if query.label is not None:
        return _index("label", query.kind, query.label)
    return _index("listed", query.kind)


def _add(
    script: _Script,
    key: str,
    before: str | None,
    after: Kept | Holding | Note | None,
    expires_at: float | None,
) -> None:
    script.seen.append((key, False if before is None else before))
    if after is None:
        script.gone.append(key)
    else:
        script.put.append((key, _encode(after).decode()))
    if expires_at is None:
        script.left.append((_EXPIRING, key))
    else:
        script.joined.append((_EXPIRING, repr(expires_at), key))
