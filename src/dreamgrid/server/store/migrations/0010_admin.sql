-- What administrators decided, and the trail of all that they did.

-- kind: account (banned), app (its app id is blocked), worker (it gets no jobs).
CREATE TABLE restriction (
    kind    TEXT NOT NULL CHECK (kind IN ('account', 'app', 'worker')),
    target  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (kind, target)
) WITHOUT ROWID;

-- NULL: as the server's settings say.
CREATE TABLE account_limits (
    account_id           TEXT PRIMARY KEY REFERENCES account (id),
    max_running_jobs     INTEGER CHECK (max_running_jobs >= 0),
    max_queued_projects  INTEGER CHECK (max_queued_projects >= 0),
    priority             INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Never changed. An action that changes the database is noted in the transaction of the change.
CREATE TABLE admin_action (
    id      INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    detail  TEXT NOT NULL,
    reason  TEXT NOT NULL
);
