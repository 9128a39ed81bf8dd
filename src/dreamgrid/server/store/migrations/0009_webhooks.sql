-- Where accounts want to be told of events, and what is still to be told.

-- events: names with spaces between; empty means all. The secret is needed for every signature, so
-- it is kept as it is. succeeded_ms: when a delivery was last accepted; 0: never.
CREATE TABLE webhook (
    id               TEXT PRIMARY KEY,
    account_id       TEXT NOT NULL REFERENCES account (id),
    url              TEXT NOT NULL,
    events           TEXT NOT NULL,
    description      TEXT NOT NULL,
    secret           TEXT NOT NULL,
    created_ms       INTEGER NOT NULL,
    succeeded_ms     INTEGER NOT NULL DEFAULT 0,
    disabled_ms      INTEGER,
    disabled_reason  TEXT
) WITHOUT ROWID;

CREATE INDEX webhook_account ON webhook (account_id);

-- The outbox: written in the transaction of the event. since_ms is when its time to be delivered
-- began; next_ms when it is tried next.
CREATE TABLE delivery (
    project_id  TEXT NOT NULL,
    webhook_id  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    created_ms  INTEGER NOT NULL,
    since_ms    INTEGER NOT NULL,
    next_ms     INTEGER NOT NULL,
    tried_ms    INTEGER,
    status      INTEGER,
    error       TEXT,
    PRIMARY KEY (project_id, webhook_id, number)
) WITHOUT ROWID;

CREATE INDEX delivery_due ON delivery (webhook_id, next_ms) WHERE state = 'pending';
CREATE INDEX delivery_webhook ON delivery (webhook_id, created_ms);
