-- Accounts, keys, projects, jobs and money. Times are milliseconds since 1970.

CREATE TABLE account (
    id          TEXT PRIMARY KEY,
    username    TEXT NOT NULL UNIQUE,
    address     TEXT NOT NULL DEFAULT '',
    created_ms  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE api_key (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES account (id),
    name        TEXT NOT NULL,
    prefix      TEXT NOT NULL,
    hash        BLOB NOT NULL UNIQUE,
    created_ms  INTEGER NOT NULL,
    revoked_ms  INTEGER
) WITHOUT ROWID;

-- posted is the sum of all transfers in less all transfers out; held is the part of it that open
-- projects have reserved. Only the mint, from which all grants come, may owe.
CREATE TABLE balance (
    account_id     TEXT NOT NULL,
    currency       TEXT NOT NULL CHECK (currency IN ('spark', 'sogni')),
    posted_micros  INTEGER NOT NULL DEFAULT 0,
    held_micros    INTEGER NOT NULL DEFAULT 0 CHECK (held_micros >= 0),
    PRIMARY KEY (account_id, currency),
    CHECK (posted_micros >= held_micros OR account_id = 'mint')
) WITHOUT ROWID;

-- Projects and jobs have wide rows, which only an ordinary table keeps in one piece: WITHOUT ROWID
-- would spill them into pages of their own and double what every change writes.
CREATE TABLE project (
    id              TEXT NOT NULL PRIMARY KEY,
    account_id      TEXT NOT NULL REFERENCES account (id),
    app_id          TEXT NOT NULL,
    model           TEXT NOT NULL,
    network         TEXT NOT NULL,
    token_type      TEXT NOT NULL,
    origin          TEXT NOT NULL,
    request         BLOB NOT NULL,
    state           TEXT NOT NULL
                    CHECK (state IN ('queued', 'processing', 'completed', 'failed', 'canceled')),
    reason          TEXT,
    width           INTEGER NOT NULL,
    height          INTEGER NOT NULL,
    steps           INTEGER NOT NULL,
    previews        INTEGER NOT NULL,
    output_format   TEXT NOT NULL,
    hold_micros     INTEGER NOT NULL CHECK (hold_micros >= 0),
    charged_micros  INTEGER NOT NULL DEFAULT 0 CHECK (charged_micros <= hold_micros),
    claimed         INTEGER NOT NULL DEFAULT 0,
    created_ms      INTEGER NOT NULL,
    updated_ms      INTEGER NOT NULL,
    ended_ms        INTEGER,
    CHECK ((ended_ms IS NOT NULL) = (state IN ('completed', 'failed', 'canceled')))
);

CREATE INDEX project_open ON project (created_ms) WHERE ended_ms IS NULL;
CREATE INDEX project_unclaimed ON project (account_id, ended_ms)
    WHERE ended_ms IS NOT NULL AND claimed = 0;

CREATE INDEX project_ended ON project (ended_ms) WHERE ended_ms IS NOT NULL;

CREATE TABLE job (
    project_id    TEXT NOT NULL REFERENCES project (id),
    job_index     INTEGER NOT NULL,
    id            TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL
                  CHECK (state IN ('queued', 'assigned', 'running',
                                   'completed', 'failed', 'canceled')),
    render        BLOB NOT NULL,
    price_micros  INTEGER NOT NULL CHECK (price_micros >= 0),
    attempt       INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,
    worker_id     TEXT NOT NULL DEFAULT '',
    worker_name   TEXT NOT NULL DEFAULT '',
    reason        TEXT,
    seed          INTEGER,
    steps         INTEGER NOT NULL DEFAULT 0,
    sha256        TEXT,
    created_ms    INTEGER NOT NULL,
    started_ms    INTEGER,
    ended_ms      INTEGER,
    PRIMARY KEY (project_id, job_index),
    CHECK ((ended_ms IS NOT NULL) = (state IN ('completed', 'failed', 'canceled')))
);

-- Immutable. A grant and a post move money from payer to payee; a hold reserves the payer's and a
-- void gives the reservation back.
CREATE TABLE transfer (
    id             INTEGER PRIMARY KEY,
    kind           TEXT NOT NULL CHECK (kind IN ('grant', 'hold', 'post', 'void')),
    currency       TEXT NOT NULL,
    payer          TEXT NOT NULL,
    payee          TEXT NOT NULL,
    amount_micros  INTEGER NOT NULL CHECK (amount_micros > 0),
    project_id     TEXT,
    job_id         TEXT,
    at_ms          INTEGER NOT NULL
);

-- No job is charged twice, and none is both charged and given back.
CREATE UNIQUE INDEX transfer_once ON transfer (job_id) WHERE kind IN ('post', 'void');
CREATE UNIQUE INDEX transfer_hold_once ON transfer (project_id) WHERE kind = 'hold';
