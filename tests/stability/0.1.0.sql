-- done 01a3185c-5000-7c32-9b81-0e766ec9d286
-- failed 01a3185c-5000-7720-b222-1a58008a05a6
-- run order-7
-- waits 01a3185f-0f20-7c54-8326-324dfb695ffb
-- later 01a3185f-0f20-7dc3-ab8a-c8ce8a245e6b
-- chord 01a3185f-0f20-7838-a78a-5aa33b6fe507
PRAGMA application_id = 1952543595;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE applied (
    id         TEXT PRIMARY KEY,
    answer     TEXT NOT NULL,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt (
    queue      INTEGER NOT NULL,
    id         TEXT NOT NULL,
    receipt    INTEGER NOT NULL,
    seqs       TEXT NOT NULL,
    until      REAL NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE body (
    seq        INTEGER PRIMARY KEY,
    body       TEXT NOT NULL,
    attributes TEXT NOT NULL,
    extra      TEXT
) STRICT;
INSERT INTO "body" VALUES(1800000000000002,'{"run":"01a3185c-5000-7720-b222-1a58008a05a6","generation":1}','{"taskflow.failure": "{\"reason\": \"failed 1 times\", \"handler\": \"shop.add\", \"topic\": \"\", \"queue\": \"jobs\", \"attempts\": 1, \"sent_at\": 1800000000.0, \"first_received_at\": 1800000000.0, \"failed_at\": 1800000000.0, \"error\": \"ZeroDivisionError\", \"message\": \"nothing to add\", \"traceback\": \"Traceback (most recent call last):\\n  File \\\"taskflow/middleware.py\\\", line 31, in _guard\\n    return run(context)\\n           ^^^^^^^^^^^^\\n  File \\\"taskflow/worker/execute.py\\\", line 116, in run\\n    return _run(job, context, refusal, broker, invoke)\\n           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\\n  File \\\"taskflow/worker/execute.py\\\", line 203, in _run\\n    result = invoke(entry, context)\\n             ^^^^^^^^^^^^^^^^^^^^^^\\n  File \\\"taskflow/worker/execute.py\\\", line 85, in invoke\\n    result = entry.handler(*arguments.args, **arguments.kwargs)\\n             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\\n  File \\\"tests/stability/application.py\\\", line 26, in add\\n    raise ZeroDivisionError(\\\"nothing to add\\\")\\nZeroDivisionError: nothing to add\\n\"}"}','{"received":1,"run":"01a3185c-5000-7720-b222-1a58008a05a6"}');
INSERT INTO "body" VALUES(1800000120000000,'{"specversion":"1.0","id":"evt_bad","source":"taskflow","type":"order.created","time":"2027-01-15T08:00:00.000000Z","traceparent":"00-8c2e0718822ce47ca8c74107e66cb0e4-b2b3f4d58d82ca63-01","data":{"id":"bad"}}','{"taskflow.failure": "{\"reason\": \"failed 3 times\", \"handler\": \"tests.stability.application.record\", \"topic\": \"order.created\", \"queue\": \"audit\", \"attempts\": 3, \"sent_at\": 1800000000.0, \"first_received_at\": 1800000000.0, \"failed_at\": 1800000120.0, \"error\": \"ValueError\", \"message\": \"no such order\", \"traceback\": \"Traceback (most recent call last):\\n  File \\\"taskflow/middleware.py\\\", line 31, in _guard\\n    return run(context)\\n           ^^^^^^^^^^^^\\n  File \\\"taskflow/worker/execute.py\\\", line 116, in run\\n    return _run(job, context, refusal, broker, invoke)\\n           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\\n  File \\\"taskflow/worker/execute.py\\\", line 203, in _run\\n    result = invoke(entry, context)\\n             ^^^^^^^^^^^^^^^^^^^^^^\\n  File \\\"taskflow/worker/execute.py\\\", line 85, in invoke\\n    result = entry.handler(*arguments.args, **arguments.kwargs)\\n             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\\n  File \\\"tests/stability/application.py\\\", line 14, in record\\n    raise ValueError(\\\"no such order\\\")\\nValueError: no such order\\n\"}"}','{"received":3}');
INSERT INTO "body" VALUES(1800000180000000,'{"specversion":"1.0","id":"01a3185f-0f20-7822-a9ec-0806705fca16","source":"shop","type":"order.created","time":"2027-01-15T08:03:00.000000Z","traceparent":"00-1562a11be30348c7a421e82944385c85-7e1007d7b95dac64-01","data":{"id":"waits"}}','{"kind":"big"}',NULL);
INSERT INTO "body" VALUES(1800000180000001,'{"specversion":"1.0","id":"01a3185f-0f20-7bb9-bd5c-8dfc5eda92d8","source":"taskflow","type":"paid.fifo","time":"2027-01-15T08:03:00.000000Z","traceparent":"00-86399207685d2578acfb210bd6c8fb4e-3cd910b4a24a2ad9-01","data":{"id":"first"}}','{}','{"group":"customer-1","deduplication_id":"01a3185f-0f20-7bb9-bd5c-8dfc5eda92d8"}');
INSERT INTO "body" VALUES(1800000180000002,'{"specversion":"1.0","id":"01a3185f-0f20-797d-9d64-3c25fbb230bb","source":"taskflow","type":"paid.fifo","time":"2027-01-15T08:03:00.000000Z","traceparent":"00-0d560394e3f2c264d806aca54e019c2b-f0fe282bd4b49280-01","data":{"id":"second"}}','{}','{"group":"customer-1","deduplication_id":"01a3185f-0f20-797d-9d64-3c25fbb230bb"}');
INSERT INTO "body" VALUES(1800000180000003,'{"run":"01a3185f-0f20-7c54-8326-324dfb695ffb","generation":1}','{}','{"run":"01a3185f-0f20-7c54-8326-324dfb695ffb","priority":"high"}');
INSERT INTO "body" VALUES(1800000180000004,'{"run":"01a3185f-0f20-7838-a78a-5aa33b6fe507.3","generation":1}','{}','{"run":"01a3185f-0f20-7838-a78a-5aa33b6fe507.3"}');
INSERT INTO "body" VALUES(1800000180000005,'{"run":"01a3185f-0f20-7838-a78a-5aa33b6fe507.2","generation":1}','{}','{"run":"01a3185f-0f20-7838-a78a-5aa33b6fe507.2"}');
INSERT INTO "body" VALUES(1800000180000006,'{"run":"01a3185f-0f20-7838-a78a-5aa33b6fe507.1","generation":1}','{}','{"run":"01a3185f-0f20-7838-a78a-5aa33b6fe507.1"}');
CREATE TABLE bucket (
    name   TEXT PRIMARY KEY,
    tokens REAL NOT NULL,
    at     REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE declared (
    stamp INTEGER NOT NULL
) STRICT;
INSERT INTO "declared" VALUES(4401560440754931552);
CREATE TABLE deduplication (
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    id         TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "deduplication" VALUES('queue:6','01a3185f-0f20-797d-9d64-3c25fbb230bb','01a3185f-0f20-797d-9d64-3c25fbb230bb',1800000180000002,1800000480.0);
INSERT INTO "deduplication" VALUES('queue:6','01a3185f-0f20-7bb9-bd5c-8dfc5eda92d8','01a3185f-0f20-7bb9-bd5c-8dfc5eda92d8',1800000180000001,1800000480.0);
INSERT INTO "deduplication" VALUES('topic:paid.fifo','01a3185f-0f20-797d-9d64-3c25fbb230bb','01a3185f-0f20-797d-9d64-3c25fbb230bb',1800000180000001,1800000480.0);
INSERT INTO "deduplication" VALUES('topic:paid.fifo','01a3185f-0f20-7bb9-bd5c-8dfc5eda92d8','01a3185f-0f20-7bb9-bd5c-8dfc5eda92d8',1800000180000000,1800000480.0);
CREATE TABLE finished (
    queue      INTEGER NOT NULL REFERENCES queue (id),
    id         TEXT NOT NULL,
    topic      TEXT NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (queue, id, topic)
) STRICT, WITHOUT ROWID;
INSERT INTO "finished" VALUES(2,'evt_done','order.created',1800003600.0);
CREATE TABLE holding (
    key    TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until  REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE identity (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE lane (
    queue    INTEGER NOT NULL,
    name     TEXT NOT NULL,
    ready_at REAL NOT NULL,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "lane" VALUES(6,'customer-1',1800000180.0);
CREATE TABLE message (
    queue             INTEGER NOT NULL REFERENCES queue (id),
    seq               INTEGER NOT NULL,
    visible_at        REAL NOT NULL,
    receive_count     INTEGER NOT NULL DEFAULT 0,
    receipt           INTEGER,
    first_received_at REAL,
    sent_at           REAL NOT NULL,
    id                TEXT NOT NULL,
    topic             TEXT NOT NULL,
    source            INTEGER,
    lane              TEXT,
    tenant            TEXT,
    level             INTEGER,
    slot              TEXT,
    PRIMARY KEY (queue, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "message" VALUES(1,1800000120000000,1800000120.0,0,NULL,NULL,1800000000.0,'evt_bad','order.created',2,NULL,NULL,NULL,NULL);
INSERT INTO "message" VALUES(2,1800000180000000,1800000180.0,0,NULL,NULL,1800000180.0,'01a3185f-0f20-7822-a9ec-0806705fca16','order.created',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "message" VALUES(3,1800000000000002,1800000000.0,0,NULL,NULL,1800000000.0,'01a3185c-5000-7720-b222-1a58008a05a6','',4,NULL,NULL,NULL,NULL);
INSERT INTO "message" VALUES(4,1800000180000003,1800000180.0,0,NULL,NULL,1800000180.0,'01a3185f-0f20-7c54-8326-324dfb695ffb','',NULL,NULL,NULL,0,NULL);
INSERT INTO "message" VALUES(4,1800000180000004,1800000180.0,0,NULL,NULL,1800000180.0,'01a3185f-0f20-7838-a78a-5aa33b6fe507.3','',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "message" VALUES(4,1800000180000005,1800000180.0,0,NULL,NULL,1800000180.0,'01a3185f-0f20-7838-a78a-5aa33b6fe507.2','',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "message" VALUES(4,1800000180000006,1800000180.0,0,NULL,NULL,1800000180.0,'01a3185f-0f20-7838-a78a-5aa33b6fe507.1','',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "message" VALUES(6,1800000180000001,1800000180.0,0,NULL,NULL,1800000180.0,'01a3185f-0f20-7bb9-bd5c-8dfc5eda92d8','paid.fifo',NULL,'customer-1',NULL,NULL,NULL);
INSERT INTO "message" VALUES(6,1800000180000002,1800000180.0,0,NULL,NULL,1800000180.0,'01a3185f-0f20-797d-9d64-3c25fbb230bb','paid.fifo',NULL,'customer-1',NULL,NULL,NULL);
CREATE TABLE move_task (
    handle      TEXT PRIMARY KEY,
    source      TEXT NOT NULL,
    destination TEXT,
    rate        INTEGER,
    status      TEXT NOT NULL,
    moved       INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    started_at  REAL NOT NULL,
    failure     TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE queue (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    settings      TEXT NOT NULL,   -- JSON of taskflow.settings.QueueSettings
    created_at    REAL NOT NULL,
    modified_at   REAL NOT NULL,
    purged_at     REAL NOT NULL DEFAULT 0,
    handled       INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    expired       INTEGER NOT NULL DEFAULT 0,
    paused        INTEGER NOT NULL DEFAULT 0,
    sequence      INTEGER NOT NULL DEFAULT 0   -- the last number given, if it is FIFO
) STRICT;
INSERT INTO "queue" VALUES(1,'audit-dlq','{"visibility_timeout":30.0,"delay":0.0,"retention":1209600.0,"dead_letter_queue":null,"max_receives":null,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,0,0,0,0,0);
INSERT INTO "queue" VALUES(2,'audit','{"visibility_timeout":30.0,"delay":0.0,"retention":345600.0,"dead_letter_queue":"audit-dlq","max_receives":3,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,1,1,0,0,0);
INSERT INTO "queue" VALUES(3,'jobs-dlq','{"visibility_timeout":30.0,"delay":0.0,"retention":1209600.0,"dead_letter_queue":null,"max_receives":null,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,0,0,0,0,0);
INSERT INTO "queue" VALUES(4,'jobs','{"visibility_timeout":30.0,"delay":0.0,"retention":345600.0,"dead_letter_queue":"jobs-dlq","max_receives":10,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,1,1,0,0,0);
INSERT INTO "queue" VALUES(5,'ledger-dlq.fifo','{"visibility_timeout":30.0,"delay":0.0,"retention":1209600.0,"dead_letter_queue":null,"max_receives":null,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,0,0,0,0,0);
INSERT INTO "queue" VALUES(6,'ledger.fifo','{"visibility_timeout":30.0,"delay":0.0,"retention":345600.0,"dead_letter_queue":"ledger-dlq.fifo","max_receives":3,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,0,0,0,0,1800000180000002);
INSERT INTO "queue" VALUES(7,'runs-dlq','{"visibility_timeout":30.0,"delay":0.0,"retention":1209600.0,"dead_letter_queue":null,"max_receives":null,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,0,0,0,0,0);
INSERT INTO "queue" VALUES(8,'runs','{"visibility_timeout":30.0,"delay":0.0,"retention":345600.0,"dead_letter_queue":"runs-dlq","max_receives":10,"receive_wait":0.0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","throughput_limit":"perQueue","redrive_sources":null,"policy":null,"others":{}}',1800000000.0,1800000000.0,0.0,1,0,0,0,0);
CREATE TABLE record (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,
    value      TEXT NOT NULL,
    parent     TEXT,
    label      TEXT,
    state      TEXT,
    due_at     REAL,
    expires_at REAL,
    count      INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL
) STRICT;
INSERT INTO "record" VALUES(1,'workflow','shop.fulfil',1713535086231553,'{}',NULL,NULL,NULL,NULL,NULL,0,1800000000.0,1800000000.0);
INSERT INTO "record" VALUES(2,'run','01a3185c-5000-7c32-9b81-0e766ec9d286',1727485418930178,'{"task":"shop.add","queue":"jobs","args":[1,2],"kwargs":{},"keep":2592000.0,"keep_failed":2592000.0,"attempts":1,"finished_at":1800000000.0,"result":3}',NULL,'shop.add','done',NULL,1802592000.0,0,1800000000.0,1800000000.0);
INSERT INTO "record" VALUES(3,'run','01a3185c-5000-7720-b222-1a58008a05a6',599723095359490,'{"task":"shop.add","queue":"jobs","args":[1,0],"kwargs":{},"keep":2592000.0,"keep_failed":2592000.0,"attempts":1,"finished_at":1800000000.0,"error":{"type":"ZeroDivisionError","message":"nothing to add","traceback":"Traceback (most recent call last):\n  File \"taskflow/middleware.py\", line 31, in _guard\n    return run(context)\n           ^^^^^^^^^^^^\n  File \"taskflow/worker/execute.py\", line 116, in run\n    return _run(job, context, refusal, broker, invoke)\n           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"taskflow/worker/execute.py\", line 203, in _run\n    result = invoke(entry, context)\n             ^^^^^^^^^^^^^^^^^^^^^^\n  File \"taskflow/worker/execute.py\", line 85, in invoke\n    result = entry.handler(*arguments.args, **arguments.kwargs)\n             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"tests/stability/application.py\", line 26, in add\n    raise ZeroDivisionError(\"nothing to add\")\nZeroDivisionError: nothing to add\n"}}',NULL,'shop.add','failed',NULL,1802592000.0,0,1800000000.0,1800000000.0);
INSERT INTO "record" VALUES(4,'run','order-7',1624763712667651,'{"task":"shop.fulfil","queue":"runs","args":["order-7"],"kwargs":{},"generation":2,"keep":2592000.0,"keep_failed":2592000.0,"attempts":1,"started_at":1800000000.0,"place":{"root":"order-7"},"durable":{"version":1,"awaits":["picked.up"]}}',NULL,'shop.fulfil','suspended',1800259200.0,NULL,0,1800000000.0,1800000000.0);
INSERT INTO "record" VALUES(5,'step','order-7/reserve',1244929092222977,'{"step":"reserve","at":1,"function":"tests.stability.application.reserve","given":"79c543e86a9d14cf","result":"order-7 is reserved","time":1800000000.0,"took":0.0}','order-7','order-7',NULL,NULL,NULL,0,1800000000.0,1800000000.0);
INSERT INTO "record" VALUES(6,'step','order-7/wait:picked.up',1524127426936833,'{"step":"wait:picked.up","at":2,"kind":"wait","state":"waiting","until":1800259200.0,"time":1800000000.0}','order-7','order-7',NULL,NULL,NULL,0,1800000000.0,1800000000.0);
INSERT INTO "record" VALUES(7,'schedule','hourly',511017460170753,'{"spec":{"timing":{"every":3600.0},"jitter":0.0,"task":{"name":"shop.tick","queues":["jobs"],"keep":0.0,"keep_failed":0.0,"flow":null,"defaults":{"queue":null,"delay":0.0,"at":null,"expires_in":null,"expires_at":null,"id":null,"key":null,"on_key":"keep","key_by":[],"group":null,"priority":null,"debounce":0.0,"max_wait":null,"throttle":0.0,"headers":{},"keep":null,"keep_failed":null,"strict":false,"connection":null,"hold_group":false},"durable":false},"args":[],"kwargs":{}},"next_tick":1800003600.0}',NULL,'shop.tick','active',1800003600.0,NULL,0,1800000180.0,1800000180.0);
INSERT INTO "record" VALUES(8,'run','01a3185f-0f20-7c54-8326-324dfb695ffb',449270918414337,'{"task":"shop.add","queue":"jobs","args":[20,2],"kwargs":{},"keep":2592000.0,"keep_failed":2592000.0,"priority":"high"}',NULL,'shop.add','waiting',NULL,NULL,0,1800000180.0,1800000180.0);
INSERT INTO "record" VALUES(9,'run','01a3185f-0f20-7dc3-ab8a-c8ce8a245e6b',1234748466790401,'{"task":"shop.add","queue":"jobs","args":[5],"kwargs":{},"keep":2592000.0,"keep_failed":2592000.0,"starts_at":1800007380.0}',NULL,'shop.add','scheduled',1800007380.0,NULL,0,1800000180.0,1800000180.0);
INSERT INTO "record" VALUES(10,'run','01a3185f-0f20-7838-a78a-5aa33b6fe507.0',774227062947841,'{"task":"group","queue":"jobs","generation":2,"keep":86400.0,"keep_failed":1209600.0,"place":{"root":"01a3185f-0f20-7838-a78a-5aa33b6fe507","next":["01a3185f-0f20-7838-a78a-5aa33b6fe507","jobs",null,0.0],"tail":"01a3185f-0f20-7838-a78a-5aa33b6fe507","members":[1,3,"stop",null,null]}}','01a3185f-0f20-7838-a78a-5aa33b6fe507','group','suspended',NULL,NULL,3,1800000180.0,1800000180.0);
INSERT INTO "record" VALUES(11,'run','01a3185f-0f20-7838-a78a-5aa33b6fe507',2144765881614337,'{"task":"shop.total","queue":"jobs","args":[],"kwargs":{},"keep":86400.0,"keep_failed":1209600.0,"waits":0.0,"place":{"root":"01a3185f-0f20-7838-a78a-5aa33b6fe507","takes":"01a3185f-0f20-7838-a78a-5aa33b6fe507.0"}}',NULL,'shop.total','suspended',NULL,NULL,0,1800000180.0,1800000180.0);
INSERT INTO "record" VALUES(12,'run','01a3185f-0f20-7838-a78a-5aa33b6fe507.3',1908312501125121,'{"task":"shop.add","queue":"jobs","args":[2],"kwargs":{},"keep":86400.0,"keep_failed":1209600.0,"waits":0.0,"place":{"root":"01a3185f-0f20-7838-a78a-5aa33b6fe507","up":[["01a3185f-0f20-7838-a78a-5aa33b6fe507.0","jobs",null,0.0],true,null,null,2]}}','01a3185f-0f20-7838-a78a-5aa33b6fe507','shop.add','waiting',NULL,NULL,0,1800000180.0,1800000180.0);
INSERT INTO "record" VALUES(13,'run','01a3185f-0f20-7838-a78a-5aa33b6fe507.2',1301078241968129,'{"task":"shop.add","queue":"jobs","args":[1],"kwargs":{},"keep":86400.0,"keep_failed":1209600.0,"waits":0.0,"place":{"root":"01a3185f-0f20-7838-a78a-5aa33b6fe507","up":[["01a3185f-0f20-7838-a78a-5aa33b6fe507.0","jobs",null,0.0],true,null,null,2]}}','01a3185f-0f20-7838-a78a-5aa33b6fe507','shop.add','waiting',NULL,NULL,0,1800000180.0,1800000180.0);
INSERT INTO "record" VALUES(14,'run','01a3185f-0f20-7838-a78a-5aa33b6fe507.1',795502699347969,'{"task":"shop.add","queue":"jobs","args":[0],"kwargs":{},"keep":86400.0,"keep_failed":1209600.0,"waits":0.0,"place":{"root":"01a3185f-0f20-7838-a78a-5aa33b6fe507","up":[["01a3185f-0f20-7838-a78a-5aa33b6fe507.0","jobs",null,0.0],true,null,null,2]}}','01a3185f-0f20-7838-a78a-5aa33b6fe507','shop.add','waiting',NULL,NULL,0,1800000180.0,1800000180.0);
CREATE TABLE shared (
    seq    INTEGER PRIMARY KEY,
    queues TEXT NOT NULL
) STRICT;
CREATE TABLE subscription (
    topic    TEXT NOT NULL REFERENCES topic (name),
    protocol TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    id       TEXT NOT NULL UNIQUE,
    queue    TEXT NOT NULL,
    pending  INTEGER NOT NULL,
    record   TEXT NOT NULL,        -- JSON of taskflow.settings.TopicSubscription
    PRIMARY KEY (topic, protocol, endpoint)
) STRICT, WITHOUT ROWID;
INSERT INTO "subscription" VALUES('order.created','sqs','audit','01a3185c-5000-7102-8386-bbc4cd613e30','audit',0,'{"id":"01a3185c-5000-7102-8386-bbc4cd613e30","topic":"order.created","protocol":"sqs","endpoint":"audit","raw":true,"filter_policy":null,"filter_scope":"MessageAttributes","dead_letter_queue":null,"pending":false,"token":null,"others":{}}');
INSERT INTO "subscription" VALUES('paid.fifo','sqs','ledger.fifo','01a3185c-5000-77ed-9e2f-eb89414c343c','ledger.fifo',0,'{"id":"01a3185c-5000-77ed-9e2f-eb89414c343c","topic":"paid.fifo","protocol":"sqs","endpoint":"ledger.fifo","raw":true,"filter_policy":null,"filter_scope":"MessageAttributes","dead_letter_queue":null,"pending":false,"token":null,"others":{}}');
CREATE TABLE tag (
    resource TEXT NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (resource, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE topic (
    name        TEXT PRIMARY KEY,
    settings    TEXT NOT NULL,     -- JSON of taskflow.settings.TopicSettings
    created_at  REAL NOT NULL,
    modified_at REAL NOT NULL,
    sequence    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO "topic" VALUES('order.created','{"content_based_deduplication":false,"deduplication_scope":"topic","max_message_bytes":262144,"signature_version":1,"policy":null,"others":{}}',1800000000.0,1800000000.0,0);
INSERT INTO "topic" VALUES('paid.fifo','{"content_based_deduplication":false,"deduplication_scope":"topic","max_message_bytes":262144,"signature_version":1,"policy":null,"others":{}}',1800000000.0,1800000000.0,1800000180000001);
CREATE TABLE worker (
    id      TEXT PRIMARY KEY,
    seen_at REAL NOT NULL,
    report  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX message_due ON message (queue, visible_at, seq) WHERE level IS NULL;
CREATE INDEX message_level ON message (queue, level, visible_at, seq) WHERE level IS NOT NULL;
CREATE UNIQUE INDEX message_id ON message (queue, id, topic);
CREATE INDEX message_lane ON message (queue, lane, seq) WHERE lane IS NOT NULL;
CREATE INDEX message_group ON message (queue, tenant, level, visible_at, seq)
    WHERE tenant IS NOT NULL;
CREATE INDEX message_held ON message (queue, slot) WHERE slot IS NOT NULL AND receipt IS NOT NULL;
CREATE INDEX message_parked ON message (queue, slot, level, seq)
    WHERE slot IS NOT NULL AND visible_at = 9e15;
CREATE INDEX lane_ready ON lane (queue, ready_at);
CREATE INDEX deduplication_expiry ON deduplication (expires_at);
CREATE INDEX finished_expiry ON finished (expires_at);
CREATE INDEX bucket_at ON bucket (at);
CREATE UNIQUE INDEX record_key ON record (kind, key);
CREATE INDEX record_parent ON record (kind, parent, number)
    WHERE parent IS NOT NULL;
CREATE INDEX record_state ON record (kind, state, number)
    WHERE state IS NOT NULL;
CREATE INDEX record_label ON record (kind, label, number)
    WHERE label IS NOT NULL;
CREATE INDEX record_newest ON record (kind, number);
CREATE INDEX record_due ON record (kind, due_at, number) WHERE due_at IS NOT NULL;
CREATE INDEX record_expiry ON record (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX holding_until ON holding (until) WHERE until IS NOT NULL;
CREATE INDEX applied_expiry ON applied (expires_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('queue',8);
INSERT INTO "sqlite_sequence" VALUES('record',14);
COMMIT;
