"""What one broker declares, declared at another: topics, queues, subscriptions, tags, pauses."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import TopicSubscription
from taskflow.errors import ConfigError, QueueNotFound
from taskflow.wire.differences import differences


class Declaring:
    """What is to be declared at `target`: all that `source` has, or these queues with their
    dead-letter queues, and what leads to them.

    Making it looks at both, writes nothing, and raises ConfigError, with all that stands against
    it, where the other broker has something of the same name that is not the same.
    """

    def __init__(self, source: Broker, target: Broker, queues: Collection[str] = ()) -> None:
        self._source, self._target = source, target
        everything = source.queues()
        for name in queues:
            if name not in everything:
                raise QueueNotFound(name, everything)
        self._settings = dict(self._with_letters(queues or everything))
        self._subscriptions = [
            one
            for one in source.subscriptions()
            if not queues or (one.protocol == "sqs" and one.endpoint in self._settings)
        ]
        named = {one.topic for one in self._subscriptions}
        self._topics = {
            name: source.topic_settings(name)
            for name in source.topics()
            if not queues or name in named
        }
        if against := list(self._conflicts()):
            raise ConfigError(
                f"nothing was copied, since TO has other declarations: {'; '.join(against)}"
            )

    @property
    def topics(self) -> list[str]:
        """Their names."""
        return list(self._topics)

    @property
    def queues(self) -> list[str]:
        """The queues that hold messages: hidden ones, of subscriptions by URL, too."""
        hidden = [one.queue for one in self._subscriptions if one.protocol != "sqs"]
        return [*self._settings, *hidden]

    def declare(self) -> None:
        """Declare what is missing, in one change. What is made gets the tags of the other one, and
        a queue is paused if that one is."""
        tags = {name: self._source.describe_queue(name).tags for name in self._settings}
        topic_tags = {name: self._source.describe_topic(name).tags for name in self._topics}
        paused = [name for name in self._settings if self._source.counts(name).paused]

        def work() -> None:
            target = self._target
            there, topics = set(target.queues()), set(target.topics())
            new = {name: one for name, one in self._settings.items() if name not in there}
            for name, settings in new.items():  # the dead-letter queue of each may come later
                target.create_queue(
                    name, replace(settings, dead_letter_queue=None, max_receives=None)
                )
                target.tag_queue(name, tags[name])
                if name in paused:
                    target.pause(name)
            for name, settings in new.items():
                if settings.dead_letter_queue is not None:
                    target.set_queue(name, settings)
            for name, topic in self._topics.items():
                if name not in topics:
                    target.create_topic(name, topic)
                    target.tag_topic(name, topic_tags[name])
            ids = {one.id for one in target.subscriptions()}
            known = {(one.topic, one.protocol, one.endpoint) for one in target.subscriptions()}
            for one in self._subscriptions:
                if one.id not in ids and (one.topic, one.protocol, one.endpoint) not in known:
                    target.put_subscription(one)

        self._target.together(work)

    def _with_letters(self, names: Collection[str]) -> Iterator[tuple[str, QueueSettings]]:
        """These queues and, where it is there, the dead-letter queue of each."""
        everything, todo, seen = set(self._source.queues()), list(names), set[str]()
        while todo:
            name = todo.pop(0)
            if name in seen:
                continue
            seen.add(name)
            settings = self._source.settings(name)
            letters = settings.dead_letter_queue
            if letters is not None and letters not in everything:  # it was deleted
                settings = replace(settings, dead_letter_queue=None, max_receives=None)
            elif letters is not None:
                todo.append(letters)
            yield name, settings

    def _conflicts(self) -> Iterator[str]:
        there = set(self._target.queues())
        for name, settings in self._settings.items():
            if name in there and (other := self._target.settings(name)) != settings:
                yield f"queue {name!r}: {', '.join(differences(other, settings))}"
        topics = set(self._target.topics())
        for name, topic in self._topics.items():
            if name in topics and (found := self._target.topic_settings(name)) != topic:
                yield f"topic {name!r}: {', '.join(differences(found, topic))}"
        subscriptions = self._target.subscriptions()
        for one in self._subscriptions:
            for other_one in subscriptions:
                if (text := _conflict(one, other_one)) is not None:
                    yield text


def _conflict(one: TopicSubscription, other: TopicSubscription) -> str | None:
    """In what they cannot both be, if they are of one id or of one endpoint."""
    same_place = (one.topic, one.protocol, one.endpoint) == (
        other.topic,
        other.protocol,
        other.endpoint,
    )
    if not same_place and one.id != other.id:
        return None
    who = f"the subscription of {one.endpoint!r} to topic {one.topic!r}"
    if one.protocol != "sqs" and one.id != other.id:
        return f"{who}: it is there under another id, which its messages wait by"
    # A queue has one subscription to a topic, whatever it is called; what is pending is confirmed
    # by each server.
    found = replace(other, id=one.id, token=one.token, pending=one.pending)
    return None if found == one else f"{who}: {', '.join(differences(found, one))}"
