-- Dead letters are counted by what they died of.

-- Dead letters once more: a row for each message with a source, which goes with it. died_at is when
-- it came; attempts how often it was received before.
CREATE TABLE tf.letter (
    seq      bigint PRIMARY KEY,
    queue    integer NOT NULL,
    cause    integer NOT NULL,
    died_at  double precision NOT NULL,
    attempts integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, vacuum_truncate = off);
CREATE INDEX letter_queue ON tf.letter (queue, seq);
CREATE INDEX letter_cause ON tf.letter (cause, seq);

-- What letters of a queue died of. name is Cause.id; count lacks what cause_change says.
CREATE TABLE tf.cause (
    id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue   integer NOT NULL,
    name    text COLLATE "C" NOT NULL,
    source  text NOT NULL,
    handler text,
    error   text,
    place   text,
    reason  text NOT NULL,
    count   bigint NOT NULL DEFAULT 0,
    UNIQUE (queue, name)
);

-- A letter more (in an epoch hour), or one less: one row for each count would be what all who bury
-- wait for. Upkeep adds them up.
CREATE TABLE tf.cause_change (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause  integer NOT NULL,
    change integer NOT NULL,
    hour   integer
) WITH (autovacuum_vacuum_scale_factor = 0.02, vacuum_truncate = off);
CREATE INDEX cause_changed ON tf.cause_change (cause);

-- How many died of a cause in an hour; those that are gone, too.
CREATE TABLE tf.cause_hour (
    hour  integer NOT NULL,
    cause integer NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (hour, cause)
);

CREATE FUNCTION tf.letter_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (DELETE FROM tf.letter WHERE seq = OLD.seq RETURNING cause)
    INSERT INTO tf.cause_change (cause, change) SELECT cause, -1 FROM gone;
    RETURN NULL;
END $$;
CREATE TRIGGER letter_gone AFTER DELETE ON tf.payload
    FOR EACH ROW WHEN (OLD.source IS NOT NULL) EXECUTE FUNCTION tf.letter_gone();

-- What lies there already: SQL reads no failure record, so it has one cause for each queue.
INSERT INTO tf.cause (queue, name, source, reason, count)
SELECT p.queue, 'before-' || p.source, coalesce(max(q.name), ''),
       'it died before letters were counted by cause', count(*)
FROM tf.payload p LEFT JOIN tf.queue q ON q.id = p.source
WHERE p.source IS NOT NULL GROUP BY p.queue, p.source;
INSERT INTO tf.letter (seq, queue, cause, died_at, attempts)
SELECT p.seq, p.queue, c.id, p.sent_at, 0
FROM tf.payload p JOIN tf.cause c ON c.queue = p.queue AND c.name = 'before-' || p.source
WHERE p.source IS NOT NULL;
