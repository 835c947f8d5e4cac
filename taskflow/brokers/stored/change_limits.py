"""What a change may hold: names that can be stored, and numbers that fit."""

from taskflow.broker.change import Change, Hide, Keep, Put, Remove
from taskflow.errors import LimitExceeded
from taskflow.limits import check_seconds

LONGEST_NAME = 512  # characters
LARGEST = 2**53
LATEST = 1e11  # epoch seconds
_HIDING = (Hide, Keep)


def check_change(change: Change) -> None:
    """Raise LimitExceeded for what could not be stored as it is."""
    if change.id is not None:
        _check_name("the id of a change", change.id)
        check_seconds("remembered", change.remembered, 0, LATEST)
    for key in change.keys:
        _check_name("a key", key.key)
        _check_name("the holder of a key", key.holder)
    for record in change.records:
        _check_record(record)
    for add in change.counters:
        for one in add.then:
            if isinstance(one, Put):
                _check_record(one)
        if not -LARGEST <= add.by <= LARGEST:
            raise LimitExceeded(f"by is {add.by}; up to {LARGEST} either way are allowed")
    for settlement in change.settlements:
        if isinstance(settlement, _HIDING):
            check_seconds("visibility", settlement.seconds, 0, float("inf"))


def _check_record(record: Put | Remove) -> None:
    if type(record) is Put and _is_plain(record):
        return  # nearly always
    _check_name("the kind of a record", record.kind)
    _check_name("the key of a record", record.key)
    if record.expected is not None and not is_version(record.expected):
        raise LimitExceeded(f"expected is {record.expected}; the version of a record is wanted")
    if isinstance(record, Put):
        if record.parent is not None:
            _check_name("the parent of a record", record.parent)
        if record.label is not None:
            _check_name("the label of a record", record.label)
        if record.state is not None:
            _check_name("the state of a record", record.state)


def _is_plain(record: Put) -> bool:
    """Whether none of its names needs a second look."""
    kind, key, parent = record.kind, record.key, record.parent
    label, state, expected = record.label, record.state, record.expected
    return (
        (expected is None or is_version(expected))
        and 0 < len(kind) <= LONGEST_NAME
        and 0 < len(key) <= LONGEST_NAME
        and (parent is None or 0 < len(parent) <= LONGEST_NAME)
        and (label is None or 0 < len(label) <= LONGEST_NAME)
        and (state is None or 0 < len(state) <= LONGEST_NAME)
        and f"{kind}{key}{parent}{label}{state}".isascii()
    )


def is_version(number: int) -> bool:
    """Whether it may be a version of a record, or 0 for none."""
    return 0 <= number < 2**63


def is_name(text: str) -> bool:
    """Whether a name can be stored, at first sight: of others `check_change` says more."""
    return 1 <= len(text) <= LONGEST_NAME and text.isascii()


def _check_name(what: str, text: str) -> None:
    if is_name(text):
        return  # nearly always
    if not 1 <= len(text) <= LONGEST_NAME:
        raise LimitExceeded(f"{what} has {len(text)} characters; 1 to {LONGEST_NAME} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise LimitExceeded(f"{what} is {text!a}, which is no UTF-8") from None
