"""What a broker can do beyond what all can."""

from typing import NamedTuple


class Features(NamedTuple):
    """What a broker says of itself: by name, what of the protocols it does.

    Whoever needs more than it has refuses with these words, and the contract suite
    (`taskflow.testing.contract`) leaves out what needs it. A verb that a broker says it has not
    need not be there; settings and messages that ask for such a thing are refused with
    LimitExceeded. No field speaks of what every broker does: publish, send, receive and settle on
    standard queues with delay and retention, long polls, declaring, `counts`, `waiting`, `peek`.

    `atomic`: what `apply` is given, and what `together` declares, happens together or not at all.
    `shared`: other processes may use it at the same time. `hosts`: those of other hosts too.
    `long_delays`: a delay may be longer than 15 minutes. `large_messages`: a message may have
    1 MiB. `fifo`: FIFO queues and topics. `duplicates`: a standard queue
    stores no message that it holds (same id and topic). `fair_groups`: message groups share a
    standard queue. `priorities`: of what is due the higher comes first. `limits`: `receive` heeds
    those of `holding`. `suspects`: `receive` heeds `holding`. `dead_letters`: redrive policies, and
    `dead_letter`. `filters`: subscriptions choose by filter policy. `envelopes`: subscriptions
    that are not raw. `urls`: subscriptions of http and https, whose messages wait in a hidden
    queue. `tags`: `tag_queue`, `tag_topic`, and what describes both. `repairs`: `redrive`, `purge`,
    `purged`. `moves`: move tasks. `pauses`: `pause`. `coordination`: the protocol of that name.
    `runs`: that one too, and the keys, records and counters of a change. `connections`: it stores
    within a transaction of its caller's. `inspection`: the protocol of that name; history and
    actions need `runs` alone.
    """

    atomic: bool = True
    shared: bool = True
    hosts: bool = False
    long_delays: bool = True
    large_messages: bool = True
    fifo: bool = True
    duplicates: bool = True
    fair_groups: bool = True
    priorities: bool = True
    limits: bool = True
    suspects: bool = True
    dead_letters: bool = True
    filters: bool = True
    envelopes: bool = True
    urls: bool = True
    tags: bool = True
    repairs: bool = True
    moves: bool = True
    pauses: bool = True
    coordination: bool = True
    runs: bool = True
    connections: bool = False
    inspection: bool = True
