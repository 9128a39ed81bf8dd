-- What happened to each project, in order: every state change, written with the change itself.
-- Numbers begin at 1 for each project and have no gaps. Progress is not kept.

CREATE TABLE event (
    project_id  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    job_id      TEXT,
    details     TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (project_id, number)
) WITHOUT ROWID;
