-- What persistent MQTT sessions promise: see `daemon/store/sessions.py`.

-- `session` is its incarnation; `expiry` in seconds, 4294967295: for good; `detached_at` in seconds since the epoch,
-- NULL while it has a connection. `sent` is the highest sequence that may have been sent, NULL while that changes. `will`
-- is MessagePack; `will_due`, in seconds since the epoch, is NULL while it has a connection.
CREATE TABLE sessions (
    session TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    client_id TEXT NOT NULL,
    level INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    detached_at REAL,
    sent INTEGER,
    will BLOB,
    will_due REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_client ON sessions (kind, account, client_id);

-- `retained_due`: its retained messages do not all stand in the queue yet.
CREATE TABLE subscriptions (
    session TEXT NOT NULL,
    filter TEXT NOT NULL,
    qos INTEGER NOT NULL,
    no_local INTEGER NOT NULL,
    retain_as_published INTEGER NOT NULL,
    identifier INTEGER,
    retained_due INTEGER NOT NULL,
    PRIMARY KEY (session, filter)
) STRICT, WITHOUT ROWID;

-- A message, once for all queues that it stands in; `properties` is MessagePack, NULL for none. Times in milliseconds.
CREATE TABLE bodies (
    body INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    expires_at INTEGER,
    properties BLOB
) STRICT;

-- How many queue entries have a body: beside it, so that counting does not write the body anew.
CREATE TABLE holders (
    body INTEGER PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT;

-- `body` is NULL once the client has received the message (PUBREC) and only its release is to be finished.
CREATE TABLE queue (
    session TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    subscription_ids TEXT NOT NULL,
    size INTEGER NOT NULL,
    body INTEGER,
    PRIMARY KEY (session, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE retained (
    topic TEXT PRIMARY KEY,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    expires_at INTEGER,
    properties BLOB
) STRICT;

-- QoS 2 messages of clients that are taken and not released; `stored` is JSON: [[topic, partition], ...].
CREATE TABLE incoming (
    session TEXT NOT NULL,
    packet_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    stored TEXT NOT NULL,
    delivered INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (session, packet_id)
) STRICT, WITHOUT ROWID;

-- Those released since the last checkpoint: their records may still be met in a partition's tail.
CREATE TABLE released (
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (session, number)
) STRICT, WITHOUT ROWID;

-- From where on each partition's tail is to be read for records of open messages.
CREATE TABLE tails (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    data BLOB NOT NULL
) STRICT;

-- A client has one session at a time.
CREATE TRIGGER session_replaced BEFORE INSERT ON sessions BEGIN
    DELETE FROM sessions
    WHERE kind = NEW.kind AND account = NEW.account AND client_id = NEW.client_id AND session <> NEW.session;
END;

CREATE TRIGGER session_dropped AFTER DELETE ON sessions BEGIN
    DELETE FROM subscriptions WHERE session = OLD.session;
    DELETE FROM queue WHERE session = OLD.session;
    DELETE FROM incoming WHERE session = OLD.session;
    DELETE FROM released WHERE session = OLD.session;
END;

CREATE TRIGGER queue_added AFTER INSERT ON queue WHEN NEW.body IS NOT NULL BEGIN
    UPDATE holders SET count = count + 1 WHERE body = NEW.body;
END;

CREATE TRIGGER queue_received AFTER UPDATE OF body ON queue WHEN OLD.body IS NOT NULL AND NEW.body IS NULL BEGIN
    UPDATE holders SET count = count - 1 WHERE body = OLD.body;
    DELETE FROM bodies WHERE body = OLD.body AND (SELECT count FROM holders WHERE body = OLD.body) <= 0;
    DELETE FROM holders WHERE body = OLD.body AND count <= 0;
END;

CREATE TRIGGER queue_removed AFTER DELETE ON queue WHEN OLD.body IS NOT NULL BEGIN
    UPDATE holders SET count = count - 1 WHERE body = OLD.body;
    DELETE FROM bodies WHERE body = OLD.body AND (SELECT count FROM holders WHERE body = OLD.body) <= 0;
    DELETE FROM holders WHERE body = OLD.body AND count <= 0;
END;
