-- Projects get numbers in the order of their arrival. What belongs to a project is kept by its
-- number, so that what changes at the same time lies together: ids are chosen by apps, at random,
-- and each would have its own page of every table written anew. What never changes and is long has
-- a table of its own for the same reason.
--
-- Allowed words are told with OR: SQLite builds a table of every longer IN at each write.

CREATE TABLE new_project (
    number          INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    account_id      TEXT NOT NULL REFERENCES account (id),
    app_id          TEXT NOT NULL,
    model           TEXT NOT NULL,
    network         TEXT NOT NULL,
    token_type      TEXT NOT NULL,
    origin          TEXT NOT NULL,
    state           TEXT NOT NULL,
    reason          TEXT,
    width           INTEGER NOT NULL,
    height          INTEGER NOT NULL,
    steps           INTEGER NOT NULL,
    previews        INTEGER NOT NULL,
    output_format   TEXT NOT NULL,
    disable_safety  INTEGER NOT NULL DEFAULT 0,
    hold_micros     INTEGER NOT NULL CHECK (hold_micros >= 0),
    charged_micros  INTEGER NOT NULL DEFAULT 0 CHECK (charged_micros <= hold_micros),
    claimed         INTEGER NOT NULL DEFAULT 0,
    key_id          TEXT,  -- the API key that it was submitted with
    created_ms      INTEGER NOT NULL,
    updated_ms      INTEGER NOT NULL,
    ended_ms        INTEGER,
    CHECK (CASE WHEN ended_ms IS NULL THEN state = 'queued' OR state = 'processing'
                ELSE state = 'completed' OR state = 'failed' OR state = 'canceled' END)
);

-- What an app asked for, and the renders that came of it, one for each job: a JSON array.
CREATE TABLE wish (
    project  INTEGER PRIMARY KEY REFERENCES new_project (number),
    request  BLOB NOT NULL,
    renders  BLOB NOT NULL
);

CREATE TABLE new_job (
    project         INTEGER NOT NULL REFERENCES new_project (number),
    job_index       INTEGER NOT NULL,
    id              TEXT NOT NULL UNIQUE,
    state           TEXT NOT NULL,
    price_micros    INTEGER NOT NULL CHECK (price_micros >= 0),
    attempt         INTEGER NOT NULL DEFAULT 0,
    failures        INTEGER NOT NULL DEFAULT 0,
    worker_id       TEXT NOT NULL DEFAULT '',
    worker_name     TEXT NOT NULL DEFAULT '',
    reason          TEXT,
    seed            INTEGER,
    steps           INTEGER NOT NULL DEFAULT 0,
    sha256          TEXT,
    sensitive       TEXT NOT NULL DEFAULT '',
    withheld        INTEGER NOT NULL DEFAULT 0,
    charged_micros  INTEGER NOT NULL DEFAULT 0,
    created_ms      INTEGER NOT NULL,
    started_ms      INTEGER,
    ended_ms        INTEGER,
    PRIMARY KEY (project, job_index),
    CHECK (CASE WHEN ended_ms IS NULL
                THEN state = 'queued' OR state = 'assigned' OR state = 'running'
                ELSE state = 'completed' OR state = 'failed' OR state = 'canceled' END)
) WITHOUT ROWID;

CREATE TABLE new_event (
    project  INTEGER NOT NULL,
    number   INTEGER NOT NULL,  -- 1, 2, 3, ... within the project
    at_ms    INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    job_id   TEXT,
    details  TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (project, number)
) WITHOUT ROWID;

CREATE TABLE new_transfer (
    id             INTEGER PRIMARY KEY,
    kind           TEXT NOT NULL
                   CHECK (kind = 'hold' OR kind = 'post' OR kind = 'earning' OR kind = 'void'
                          OR kind = 'grant' OR kind = 'refund'),
    currency       TEXT NOT NULL,
    payer          TEXT NOT NULL,
    payee          TEXT NOT NULL,
    amount_micros  INTEGER NOT NULL CHECK (amount_micros > 0),
    project_id     TEXT,  -- its id, since entries outlive projects
    job_id         TEXT,
    at_ms          INTEGER NOT NULL,
    reverses       INTEGER,
    CHECK ((kind = 'refund') = (reverses IS NOT NULL))
);

INSERT INTO new_project
       (id, account_id, app_id, model, network, token_type, origin, state, reason, width, height,
        steps, previews, output_format, disable_safety, hold_micros, charged_micros, claimed,
        key_id, created_ms, updated_ms, ended_ms)
    SELECT id, account_id, app_id, model, network, token_type, origin, state, reason, width, height,
           steps, previews, output_format, disable_safety, hold_micros, charged_micros, claimed,
           key_id, created_ms, updated_ms, ended_ms
      FROM project ORDER BY created_ms, rowid;
INSERT INTO wish
    SELECT number, request,
           (SELECT CAST(json_group_array(json(render)) AS BLOB)
              FROM (SELECT CAST(render AS TEXT) AS render FROM job
                     WHERE project_id = project.id ORDER BY job_index))
      FROM new_project JOIN project USING (id);
INSERT INTO new_job
    SELECT number, job_index, job.id, job.state, price_micros, attempt, failures, worker_id,
           worker_name, job.reason, seed, job.steps, sha256, sensitive, withheld,
           job.charged_micros, job.created_ms, started_ms, job.ended_ms
      FROM job JOIN new_project ON new_project.id = project_id;
INSERT INTO new_event
    SELECT new_project.number, event.number, at_ms, kind, job_id, details
      FROM event JOIN new_project ON new_project.id = project_id;
INSERT INTO new_transfer SELECT * FROM transfer;

DROP TABLE event;
DROP TABLE job;
DROP TABLE project;
DROP TABLE transfer;
ALTER TABLE new_project RENAME TO project;
ALTER TABLE new_job RENAME TO job;
ALTER TABLE new_event RENAME TO event;
ALTER TABLE new_transfer RENAME TO transfer;

CREATE INDEX project_open ON project (created_ms) WHERE ended_ms IS NULL;
CREATE INDEX project_unclaimed ON project (account_id, claimed, ended_ms)
    WHERE ended_ms IS NOT NULL AND claimed = 0;
CREATE INDEX project_ended ON project (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX project_history ON project (account_id, ended_ms) WHERE ended_ms IS NOT NULL;

-- No job is charged twice, and none is both charged and given back, paid or refunded twice.
CREATE UNIQUE INDEX transfer_once ON transfer (job_id) WHERE kind = 'post' OR kind = 'void';
CREATE UNIQUE INDEX transfer_hold_once ON transfer (project_id) WHERE kind = 'hold';
CREATE UNIQUE INDEX transfer_earning_once ON transfer (job_id) WHERE kind = 'earning';
CREATE UNIQUE INDEX transfer_refund_once ON transfer (reverses) WHERE kind = 'refund';

-- Statements: what an account received, and what it paid for each project.
CREATE INDEX transfer_received ON transfer (payee, at_ms)
    WHERE kind = 'earning' OR kind = 'grant' OR kind = 'refund';
CREATE INDEX transfer_paid ON transfer (payer, project_id) WHERE kind = 'post';
