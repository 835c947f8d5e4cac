"""Batches of ten: cutting them, sending them, and trying alone again what failed alone.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-batch-api-actions.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

MAX_ENTRIES = 10
UNANSWERED = {"Code": "Unanswered", "Message": "AWS did not say what became of it"}
TRIES = 3  # of an entry that failed for no fault of ours; botocore tries whole requests again


class Sized(Protocol):
    """Something that counts in a batch."""

    @property
    def size(self) -> int: ...


T = TypeVar("T")
S = TypeVar("S", bound=Sized)


def cut(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Ten at a time."""
    for start in range(0, len(items), MAX_ENTRIES):
        yield items[start : start + MAX_ENTRIES]


def cut_by_size(items: Iterable[S], most: int) -> Iterator[list[S]]:
    """Ten and `most` bytes at a time at most, in order; one that is larger goes alone."""
    batch: list[S] = []
    total = 0
    for item in items:
        if batch and (len(batch) == MAX_ENTRIES or total + item.size > most):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += item.size
    if batch:
        yield batch


def send_batch(
    send: Callable[[list[dict[str, Any]]], Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Send the entries of one batch; answers what became of each: an item of `Successful`, or one
    of `Failed` (it has a `Code`). Those that AWS itself failed at are tried again, without the
    others."""
    answers: dict[int, Mapping[str, Any]] = {}
    waiting = list(range(len(entries)))
    for _ in range(TRIES):
        answer = send([{"Id": str(index), **entries[index]} for index in waiting])
        for item in (*(answer.get("Successful") or ()), *(answer.get("Failed") or ())):
            answers[int(item["Id"])] = item
        waiting = [
            index
            for index in waiting
            if failed(found := answers.get(index, UNANSWERED)) and not found.get("SenderFault")
        ]
        if not waiting:
            break
    return [answers.get(index, UNANSWERED) for index in range(len(entries))]


def failed(answer: Mapping[str, Any]) -> bool:
    """Whether an answer of `send_batch` is a failure."""
    return "Code" in answer
