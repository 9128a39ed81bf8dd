-- Workers that were here, so that a restart of the server forgets none of them: what they offered
-- decides whether a project for a model may wait for a worker to come back. Times are milliseconds
-- since 1970; models is a JSON array of catalogue ids.

CREATE TABLE worker (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL,
    owner       TEXT NOT NULL,
    name        TEXT NOT NULL,
    network     TEXT NOT NULL,
    models      TEXT NOT NULL,
    seen_ms     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX worker_seen ON worker (seen_ms);
