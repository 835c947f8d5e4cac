"""Making what one file declares like what another does."""

from collections.abc import Collection

from taskflow.stores.rows import Rows


def copy_declarations(source: Rows, target: Rows, now: float) -> None:
    """Give `target` the topics, queues, subscriptions, tags and marks of `source`, and nothing
    else. What lies in queues stays, but for that of queues which `source` has not."""
    _copy_topics(source, target, now)
    _copy_queues(source, target, now)
    wanted = {one.id: one for one in source.subscriptions()}
    for subscription in target.subscriptions():
        if subscription.id not in wanted:
            target.drop_subscription(subscription.id)
    for subscription in wanted.values():
        if target.subscription(subscription.id) != subscription:
            target.put_subscription(subscription)
    target.put_identity(source.identity())


def _copy_topics(source: Rows, target: Rows, now: float) -> None:
    names = source.topics()
    for name in target.topics():
        if name not in names:
            target.drop_topic(name)
    for name in names:
        found = source.topic(name)
        if found is not None and found != target.topic(name):
            target.put_topic(name, found.settings, now)
        _copy_tags(source, target, "topic", name)


def _copy_queues(source: Rows, target: Rows, now: float) -> None:
    names = _queues(source)
    for name in _queues(target):
        if name not in names and (gone := target.queue(name)) is not None:
            target.drop_queue(gone)
    for name in names:
        found, old = source.queue(name), target.queue(name)
        if found is None:
            continue
        if old is None or old.settings != found.settings:
            target.put_queue(name, found.settings, now)
        if found.paused != (old is not None and old.paused):
            target.pause_queue(name, found.paused)
        _copy_tags(source, target, "queue", name)


def _queues(rows: Rows) -> Collection[str]:
    """Hidden ones too, as far as there are."""
    names = {*rows.queues(), *(one.queue for one in rows.subscriptions())}
    return {name for name in names if rows.queue(name) is not None}


def _copy_tags(source: Rows, target: Rows, kind: str, name: str) -> None:
    wanted, found = source.described(kind, name), target.described(kind, name)
    if wanted is None or found is None or wanted.tags == found.tags:
        return
    target.tag(kind, name, {**dict.fromkeys(found.tags), **wanted.tags})
