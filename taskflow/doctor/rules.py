"""The rules by their numbers: 1 times, 2 wiring, 3 what goes on, 4 this machine, 5 AWS."""

from taskflow.doctor.rule import Rule

_ALL = (
    # ---- times that code says ----------------------------------------------------------------
    Rule(
        *("TF101", "warning", "a lease that a stall outlasts"),
        "Leases are extended at half their time. Where the lease is shorter than 10 s and a run "
        "may take longer, a pause of the process or broker lets a second worker start the same "
        "message.",
    ),
    Rule(
        *("TF102", "warning", "a crash hides a message for long"),
        "After a crash a message is hidden until its lease ends: more than ten times the time "
        "limit of its runs, and more than five minutes, is waiting for nobody.",
    ),
    Rule(
        *("TF103", "error", "a run longer than SQS lends"),
        "SQS lends a message for twelve hours at most, extended or not. A run that may take "
        "longer is started a second time while it goes on.",
    ),
    Rule(
        *("TF104", "note", "no time limit"),
        "A run that hangs keeps its slot and its message until the process ends.",
    ),
    Rule(
        *("TF111", "warning", "retries wait longer than the queue keeps messages"),
        "Retention counts from sending. A message whose next try would come after it is "
        "dead-lettered before: the last attempts never run.",
    ),
    Rule(
        *("TF112", "note", "attempts may take longer than the queue keeps messages"),
        "As TF111, if the runs take as long as their time limits allow.",
    ),
    Rule(
        *("TF113", "warning", "dead letters are kept no longer than messages"),
        "A dead letter keeps the time it was sent at, so what failed late in its life is gone "
        "from the dead letters at once, or soon.",
    ),
    Rule(
        *("TF114", "error", "the broker gives up before the last attempt"),
        "The queue's redrive policy counts receives. When it allows fewer than there are "
        "attempts, messages become dead letters without the failure that made them.",
    ),
    Rule(
        *("TF121", "warning", "FIFO: a repeated send is stored again while the first is retried"),
        "A FIFO queue recognizes a repeated send for five minutes. A message that may be "
        "retried for longer needs a handler whose window= is longer too.",
    ),
    Rule(
        *("TF122", "note", "FIFO: a group stands still for long"),
        "While a message of a group is retried, those behind it wait: for more than fifteen "
        "minutes here.",
    ),
    Rule(
        *("TF131", "error", "FIFO: messages have no delay of their own"),
        "SQS and every broker here refuse a delayed message on a FIFO queue, so each call is "
        "refused.",
    ),
    Rule(
        *("TF132", "warning", "FIFO on AWS: a retry comes sooner than its backoff says"),
        "SQS hides a message for twelve hours at most; on a FIFO queue no copy can take its place.",
    ),
    Rule(
        *("TF133", "note", "a queue's delay is longer than SQS allows"),
        "SQS allows 15 minutes: the queue cannot be declared there.",
    ),
    # ---- what code says, and what the broker has ----------------------------------------------
    Rule(
        *("TF201", "error", "a queue is missing"),
        "A handler's queue, or its dead-letter queue, was never declared: what should wait "
        "there goes nowhere, or sending to it fails.",
    ),
    Rule(
        *("TF202", "error", "a topic is missing"),
        "Nobody can publish to it, so its handlers get nothing.",
    ),
    Rule(
        *("TF203", "error", "a subscription is missing"),
        "Topic and queue are there, and nothing leads from one to the other.",
    ),
    Rule(
        *("TF204", "warning", "declared otherwise"),
        "The broker has other settings than the code says, and goes by its own.",
    ),
    Rule(
        *("TF205", "warning", "a subscription without a handler"),
        "What the topic sends to the queue is dead-lettered, since nobody there knows it.",
    ),
    Rule(
        *("TF206", "error", "a subscription to a queue that is not there"),
        "What it should deliver is lost, or goes to the subscription's own dead-letter queue.",
    ),
    Rule(
        *("TF207", "error", "a dead-letter queue is not there"),
        "Messages that failed for good cannot be moved, and are tried for ever.",
    ),
    Rule(
        *("TF208", "warning", "a queue has no dead-letter queue"),
        "A message that fails for good has nowhere to go, and comes back until it expires.",
    ),
    Rule(
        *("TF209", "warning", "a subscription nobody confirmed"),
        "It gets nothing until the owner of its URL has answered.",
    ),
    Rule(
        *("TF210", "warning", "a schedule calls what is not here"),
        "Its task is in none of the modules that were loaded, or its topic is not declared.",
    ),
    Rule(
        *("TF211", "note", "nothing ever came"),
        "The queue is there for over a day and never held a message: perhaps nobody publishes "
        "to its topics.",
    ),
    # ---- what goes on -------------------------------------------------------------------------
    Rule(
        *("TF301", "error", "messages wait and nobody works"),
        "No worker that reported within 30 seconds has this queue.",
    ),
    Rule(
        *("TF302", "warning", "a paused queue holds messages"),
        "Nobody receives from it until it is resumed, and retention goes on.",
    ),
    Rule(
        *("TF303", "error", "messages are about to expire"),
        "The oldest has waited for more than four fifths of the queue's retention.",
    ),
    Rule(
        *("TF304", "warning", "messages have expired"),
        "The queue dropped messages that nobody handled within its retention.",
    ),
    Rule(
        *("TF305", "warning", "dead letters"),
        "Messages failed for good, and somebody should look at them.",
    ),
    Rule(
        *("TF306", "warning", "nearly as many in flight as SQS allows"),
        "With 120,000 in flight a queue hands out nothing.",
    ),
    Rule(
        *("TF307", "warning", "a move of dead letters failed"),
        "What it did not move is where it was.",
    ),
    Rule(
        *("TF311", "warning", "a worker is silent"),
        "It reported within the last five minutes, not within 30 seconds, and has not signed "
        "off: it was killed, hangs, or cannot reach the broker.",
    ),
    Rule(
        *("TF312", "warning", "workers of several versions"),
        "Fine while a release goes out; afterwards some were left behind.",
    ),
    Rule(
        *("TF313", "warning", "a worker's clock is off"),
        "Times that it writes (when a call is due, when an event happened) are wrong by as much.",
    ),
    Rule(
        *("TF314", "warning", "this machine's clock is off"),
        "As TF313, for what is sent from here.",
    ),
    Rule(
        *("TF321", "warning", "a schedule is late"),
        "Its tick was due over a minute ago: no worker that tends schedules runs, or none comes "
        "to it.",
    ),
    Rule(
        *("TF322", "error", "a schedule cannot be fired"),
        "It failed at its last tick, or its record cannot be read.",
    ),
    Rule(
        *("TF323", "note", "a schedule that code has no more"),
        "It was declared by code that no worker has any more, and is paused for that, or will be.",
    ),
    Rule(
        *("TF324", "warning", "calls are late"),
        "A call's time came over a minute ago, and nobody sent it: no worker that knows tasks "
        "runs.",
    ),
    # ---- this machine -------------------------------------------------------------------------
    Rule(
        *("TF401", "error", "the broker cannot be used"),
        "Nothing can be sent or handled from here, and what the broker holds was not looked at.",
    ),
    Rule(
        *("TF402", "error", "the broker's file is on a network drive"),
        "SQLite's WAL is shared memory, which processes of several hosts do not share: the file "
        "will be damaged, or locks never end.",
    ),
    Rule(
        *("TF403", "warning", "others may read or change the broker's file"),
        "Payloads and access keys lie in it and beside it.",
    ),
    Rule(
        *("TF404", "error", "this user may not write the broker's file or folder"),
        "SQLite makes files beside its own: without both, every verb fails.",
    ),
    Rule(
        *("TF405", "warning", "a rollback journal lies beside the broker's file"),
        "Another program opened the file without WAL and was killed in a change; SQLite undoes "
        "that change at the next opening.",
    ),
    Rule(
        *("TF406", "warning", "the WAL is long"),
        "It is emptied at 64 MB: somebody keeps a read transaction open on the file (a shell, a "
        "copy), and all verbs become slower.",
    ),
    Rule(
        *("TF407", "warning", "a WAL without its file"),
        "The broker's file was removed or moved, and what its WAL holds was not.",
    ),
    Rule(
        *("TF408", "error", "the disk is nearly full"),
        "Below 256 MB, or a hundredth of the disk: when nothing is left, nothing can be sent, "
        "settled or deleted.",
    ),
    Rule(
        *("TF409", "note", "the broker is in memory"),
        "It ends with its process, and no other process sees it.",
    ),
    Rule(
        *("TF410", "note", "a power cut may take what was accepted"),
        "durability=process does not wait for the disk.",
    ),
    Rule(
        *("TF411", "warning", "a variable that nobody reads"),
        "A setting whose name is none: it says nothing, perhaps by a typing error.",
    ),
    # ---- AWS ----------------------------------------------------------------------------------
    Rule(
        *("TF501", "error", "a right is missing"),
        "The policies of these credentials do not allow what workers or publishers need.",
    ),
    Rule(
        *("TF502", "note", "rights were not looked at"),
        "AWS did not say what these credentials may (iam:SimulatePrincipalPolicy).",
    ),
    Rule(
        *("TF503", "error", "AWS refuses to tell"),
        "These credentials may not look at what is there, so that part was not compared.",
    ),
    Rule(
        *("TF504", "warning", "workers of several hosts share nothing"),
        "SQS cannot keep which events are finished, rates and pauses: without idempotency= each "
        "process keeps its own, in memory.",
    ),
    Rule(
        *("TF505", "warning", "results and schedules end with their process"),
        "SQS keeps no records: without state= they are in memory.",
    ),
)
RULES = {rule.number: rule for rule in _ALL}
