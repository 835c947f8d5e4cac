"""Rules about what code says of topics, queues and subscriptions, and what the broker has."""

from collections.abc import Iterator

from taskflow.broker.settings import TopicSubscription
from taskflow.doctor.facts import Facts
from taskflow.doctor.rule import Finding
from taskflow.doctor.rules import RULES
from taskflow.explaining.spans import span
from taskflow.tasks.task_entry import TaskEntry
from taskflow.text import shown_endpoint
from taskflow.topology import all_settings

_APPLY = "`taskflow topology apply`, or start a worker of it"
DAY = 86400.0


def check_wiring(facts: Facts) -> Iterator[Finding]:
    """What is missing, too much, or otherwise than code says."""
    if facts.looked:
        yield from _missing(facts)
        yield from _subscriptions(facts)
        yield from _queues(facts)
        yield from _schedules(facts)
        for line in facts.differs:
            name, _, what = line.partition(": ")
            yield RULES["TF204"].found(name, what, "`taskflow topology apply`, or change the code")


def _missing(facts: Facts) -> Iterator[Finding]:
    registry, topics = facts.registry, set(facts.topics)
    for queue in all_settings(registry):
        if queue not in facts.queues:
            yield RULES["TF201"].found(
                f"queue {queue}",
                f"the code needs it, and the broker has {len(facts.queues)} others",
                _APPLY,
            )
    for topic in registry.topics():
        if topic not in topics:
            names = sorted({one.name for one in registry if one.topic == topic})
            yield RULES["TF202"].found(f"topic {topic}", f"{', '.join(names)} wait for it", _APPLY)
    there = {(one.topic, one.endpoint) for one in facts.subscriptions if one.protocol == "sqs"}
    for one in registry:
        wanted = one.topic in topics and one.queue in facts.queues
        if wanted and (one.topic, one.queue) not in there:
            yield RULES["TF203"].found(
                f"subscription {one.topic} → {one.queue}",
                f"{one.name} gets nothing that is published to {one.topic}",
                _APPLY,
            )


def _subscriptions(facts: Facts) -> Iterator[Finding]:
    wanted = {(one.topic, one.queue) for one in facts.registry}
    ours = set(facts.registry.queues())
    for one in facts.subscriptions:
        name = f"subscription {one.topic} → {shown_endpoint(one.endpoint)}"
        if one.pending:
            yield RULES["TF209"].found(
                name, "its owner has not answered", "let its endpoint confirm, or unsubscribe it"
            )
        if one.protocol != "sqs":
            continue
        if one.endpoint not in facts.queues:
            yield RULES["TF206"].found(name, _lost(one), "declare the queue, or unsubscribe it")
        elif one.endpoint in ours and (one.topic, one.queue) not in wanted:
            yield RULES["TF205"].found(
                name,
                f"no handler of {one.topic} on {one.endpoint} is in the modules that were loaded",
                "load the module that has one, or unsubscribe it",
            )


def _lost(one: TopicSubscription) -> str:
    goes = f"goes to {one.dead_letter_queue}" if one.dead_letter_queue else "is lost"
    return f"there is no queue {one.endpoint}, and what is published to {one.topic} {goes}"


def _queues(facts: Facts) -> Iterator[Finding]:
    registry = facts.registry
    ours = set(registry.queues())
    for queue, known in facts.queues.items():
        letters = known.settings.dead_letter_queue
        if letters is not None and letters not in facts.queues:
            yield RULES["TF207"].found(
                f"queue {queue}", f"its dead-letter queue {letters} is not there", _APPLY
            )
        if letters is None and queue in ours:
            yield RULES["TF208"].found(
                f"queue {queue}",
                f"{len(registry.on(queue))} handlers work on it, and what fails has nowhere to go",
                "`taskflow topology apply` gives it one",
            )
        counts, age = known.counts, facts.now - known.created_at
        held = counts.visible + counts.in_flight + counts.delayed
        ever = held + counts.handled + counts.dead_lettered + counts.expired
        if registry.subscriptions(queue) and not ever and age > DAY and not facts.aws:
            topics = sorted({one.topic for one in registry.subscriptions(queue)})
            yield RULES["TF211"].found(
                f"queue {queue}",
                f"it is there for {span(age)}, and nothing of {', '.join(topics)} ever came",
                "look whether somebody publishes there, and whether its filter lets it through",
            )


def _schedules(facts: Facts) -> Iterator[Finding]:
    registry, topics = facts.registry, set(facts.topics)
    entries = [one for queue in registry.queues() for one in registry.on(queue)]
    tasks = {name for one in entries if isinstance(one, TaskEntry) for name in one.names}
    for one in facts.schedules:
        if one.state not in ("active", "paused"):
            continue
        if one.task is not None and tasks and one.task not in tasks:
            yield RULES["TF210"].found(
                f"schedule {one.name}",
                f"it calls {one.task} on {one.queue}, which no loaded module has",
                "load the module that has it, or remove the schedule",
            )
        if one.topic is not None and one.topic not in topics:
            yield RULES["TF210"].found(
                f"schedule {one.name}",
                f"it publishes to {one.topic}, and there is no such topic",
                "declare the topic, or remove the schedule",
            )
