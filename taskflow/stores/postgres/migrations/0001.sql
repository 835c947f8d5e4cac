-- The stored broker's tables.
-- (tf stands for the schema. Times are epoch seconds; who writes them passes `now` in.)

-- Numbers of messages, and of FIFO topics: above every time in microseconds until the year 2096.
CREATE SEQUENCE tf.number AS bigint START WITH 4000000000000000 CACHE 1;

CREATE TABLE tf.topic (
    name        text COLLATE "C" PRIMARY KEY,
    settings    text NOT NULL,              -- JSON of taskflow.broker.settings.TopicSettings
    created_at  double precision NOT NULL,
    modified_at double precision NOT NULL
);

CREATE TABLE tf.queue (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text COLLATE "C" NOT NULL UNIQUE,
    settings      text NOT NULL,            -- JSON of taskflow.broker.settings.QueueSettings
    created_at    double precision NOT NULL,
    modified_at   double precision NOT NULL,
    purged_at     double precision NOT NULL DEFAULT 0,
    paused        boolean NOT NULL DEFAULT false
);

-- The totals of queues, apart from what is read with every receive.
CREATE TABLE tf.total (
    queue         integer PRIMARY KEY,
    handled       bigint NOT NULL DEFAULT 0,
    dead_lettered bigint NOT NULL DEFAULT 0,
    expired       bigint NOT NULL DEFAULT 0
);

-- A new number with every change of a topic, a queue or a subscription: processes may keep what
-- they read of those while it stays the same.
CREATE TABLE tf.declared (
    stamp bigint NOT NULL
);
INSERT INTO tf.declared VALUES (0);

-- Tags of queues and topics: resource is 'queue:NAME' or 'topic:NAME'.
CREATE TABLE tf.tag (
    resource text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    value    text NOT NULL,
    PRIMARY KEY (resource, key)
);

-- queue is the name of the queue that stores its messages; it may be gone, as on SNS.
CREATE TABLE tf.subscription (
    topic    text COLLATE "C" NOT NULL,
    protocol text COLLATE "C" NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL UNIQUE,
    queue    text NOT NULL,
    pending  boolean NOT NULL,
    record   text NOT NULL,                 -- JSON of taskflow.broker.settings.TopicSubscription
    PRIMARY KEY (topic, protocol, endpoint)
);

-- What changes while a message lives: narrow rows and few indexes, since every receive rewrites
-- one of each. place is a copy of seq, by which indexes order: with seq itself in a second index
-- the planner may look for it there, and read a whole queue.
-- receipt is NULL until the first receive. The message group is lane on a FIFO queue, tenant on a
-- standard one. level is 0 for high, NULL for normal and 2 for low. slot is what shares a limit; a
-- row that waits for it has the visible_at 9e15.
CREATE TABLE tf.message (
    seq               bigint PRIMARY KEY,
    place             bigint NOT NULL,
    visible_at        double precision NOT NULL,
    sent_at           double precision NOT NULL,
    first_received_at double precision,
    receipt           bigint,
    queue             integer NOT NULL,
    receive_count     integer NOT NULL DEFAULT 0,
    level             smallint,
    lane              text COLLATE "C",
    tenant            text COLLATE "C",
    slot              text COLLATE "C"
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_cost_limit = 10000,
    vacuum_truncate = off
);
CREATE INDEX message_due ON tf.message (queue, visible_at, place) WHERE level IS NULL;
CREATE INDEX message_level ON tf.message (queue, level, visible_at, place) WHERE level IS NOT NULL;
CREATE INDEX message_lane ON tf.message (queue, lane, place) WHERE lane IS NOT NULL;
CREATE INDEX message_group ON tf.message (queue, tenant, visible_at, place) WHERE tenant IS NOT NULL;
CREATE INDEX message_held ON tf.message (queue, slot) WHERE slot IS NOT NULL AND receipt IS NOT NULL;
CREATE INDEX message_parked ON tf.message (queue, slot, place)
    WHERE slot IS NOT NULL AND visible_at = 9e15;

-- What does not change of a message, however often it is received.
-- source is the queue a dead letter came from. extra is JSON of what few messages have, or NULL.
-- What several queues store lies in shared_body, once.
CREATE TABLE tf.payload (
    seq        bigint PRIMARY KEY,
    place      bigint NOT NULL,
    sent_at    double precision NOT NULL,
    shared     bigint,
    queue      integer NOT NULL,
    source     integer,
    id         text COLLATE "C" NOT NULL,
    topic      text COLLATE "C" NOT NULL,
    body       text,
    attributes text,
    extra      text,
    UNIQUE (queue, id, topic)
) WITH (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_cost_limit = 10000,
    vacuum_truncate = off
);
-- The queue as another type: who asks for an id of a queue cannot end up here, and read all of it.
CREATE INDEX payload_stored ON tf.payload ((queue::bigint), place);
CREATE INDEX payload_shared ON tf.payload (shared) WHERE shared IS NOT NULL;

CREATE TABLE tf.shared_body (
    number     bigint PRIMARY KEY,
    body       text NOT NULL,
    attributes text NOT NULL,
    extra      text
);

-- The message groups of FIFO queues that hold something. Whoever changes what a group holds has
-- its row locked.
CREATE TABLE tf.lane (
    queue    integer NOT NULL,
    name     text COLLATE "C" NOT NULL,
    ready_at double precision NOT NULL,
    PRIMARY KEY (queue, name)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, vacuum_truncate = off);
CREATE INDEX lane_ready ON tf.lane (queue, ready_at, name);

-- Messages sent to FIFO queues and topics within the deduplication window, deleted ones too.
CREATE TABLE tf.deduplication (
    scope      text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    id         text NOT NULL,
    seq        bigint NOT NULL,
    expires_at double precision NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX deduplication_expiry ON tf.deduplication (expires_at);

-- Receives from FIFO queues that may be asked for again by their attempt id.
CREATE TABLE tf.attempt (
    queue      integer NOT NULL,
    id         text COLLATE "C" NOT NULL,
    receipt    bigint NOT NULL,
    seqs       bigint[] NOT NULL,
    until      double precision NOT NULL,
    expires_at double precision NOT NULL,
    PRIMARY KEY (queue, id)
);
CREATE INDEX attempt_expiry ON tf.attempt (expires_at);

-- Moves of messages out of dead-letter queues.
CREATE TABLE tf.move_task (
    handle      text COLLATE "C" PRIMARY KEY,
    source      text COLLATE "C" NOT NULL,
    destination text,
    rate        integer,
    status      text NOT NULL,
    moved       bigint NOT NULL,
    total       bigint NOT NULL,
    started_at  double precision NOT NULL,
    failure     text
);

-- Events that a queue has finished and still remembers (idempotency).
CREATE TABLE tf.finished (
    queue      integer NOT NULL,
    id         text COLLATE "C" NOT NULL,
    topic      text COLLATE "C" NOT NULL,
    expires_at double precision NOT NULL,
    PRIMARY KEY (queue, id, topic)
) WITH (autovacuum_vacuum_scale_factor = 0.02, vacuum_truncate = off);
CREATE INDEX finished_expiry ON tf.finished (expires_at);

-- Token buckets of rates, shared by all workers.
CREATE TABLE tf.bucket (
    name   text COLLATE "C" PRIMARY KEY,
    tokens double precision NOT NULL,
    at     double precision NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX bucket_at ON tf.bucket (at);

-- What each running worker last said of itself, as JSON.
CREATE TABLE tf.worker (
    id      text COLLATE "C" PRIMARY KEY,
    seen_at double precision NOT NULL,
    report  text NOT NULL
);

-- What the wire server is called and signs with, for whoever writes an SNS envelope.
CREATE TABLE tf.identity (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- What is kept beside messages: runs, steps, schedules, by kind and key. number orders them as they
-- were made; version changes with every write but that of count.
CREATE TABLE tf.record (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    value      text NOT NULL,
    parent     text COLLATE "C",
    label      text COLLATE "C",
    state      text COLLATE "C",
    due_at     double precision,
    expires_at double precision,
    count      bigint NOT NULL DEFAULT 0,
    created_at double precision NOT NULL,
    changed_at double precision NOT NULL,
    UNIQUE (kind, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, vacuum_truncate = off);
CREATE INDEX record_parent ON tf.record (kind, parent, number) WHERE parent IS NOT NULL;
CREATE INDEX record_state ON tf.record (kind, state, number) WHERE state IS NOT NULL;
CREATE INDEX record_label ON tf.record (kind, label, number) WHERE label IS NOT NULL;
CREATE INDEX record_newest ON tf.record (kind, number);
CREATE INDEX record_due ON tf.record (kind, due_at, number) WHERE due_at IS NOT NULL;
CREATE INDEX record_expiry ON tf.record (expires_at) WHERE expires_at IS NOT NULL;

-- Keys of which each has one holder: unique runs, one of many workers. until is NULL for good.
CREATE TABLE tf.holding (
    key    text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    until  double precision
);
CREATE INDEX holding_until ON tf.holding (until) WHERE until IS NOT NULL;

-- Changes that are not to be made twice, and what was answered.
CREATE TABLE tf.applied (
    id         text COLLATE "C" PRIMARY KEY,
    answer     text NOT NULL,
    expires_at double precision NOT NULL
);
CREATE INDEX applied_expiry ON tf.applied (expires_at);
