-- Earnings of workers' owners, and refunds. SQLite cannot change a CHECK, so two tables are rebuilt.

-- The house may owe as well: it pays refunds of what it has passed on to workers' owners.
CREATE TABLE new_balance (
    account_id     TEXT NOT NULL,
    currency       TEXT NOT NULL CHECK (currency IN ('spark', 'sogni')),
    posted_micros  INTEGER NOT NULL DEFAULT 0,
    held_micros    INTEGER NOT NULL DEFAULT 0 CHECK (held_micros >= 0),
    PRIMARY KEY (account_id, currency),
    CHECK (posted_micros >= held_micros OR account_id IN ('mint', 'house'))
) WITHOUT ROWID;
INSERT INTO new_balance SELECT account_id, currency, posted_micros, held_micros FROM balance;
DROP TABLE balance;
ALTER TABLE new_balance RENAME TO balance;

-- Immutable. A grant, post, earning and refund move money from payer to payee; a hold reserves the
-- payer's and a void gives the reservation back. A refund names the post that it takes back.
CREATE TABLE new_transfer (
    id             INTEGER PRIMARY KEY,
    kind           TEXT NOT NULL
                   CHECK (kind IN ('grant', 'hold', 'post', 'void', 'earning', 'refund')),
    currency       TEXT NOT NULL,
    payer          TEXT NOT NULL,
    payee          TEXT NOT NULL,
    amount_micros  INTEGER NOT NULL CHECK (amount_micros > 0),
    project_id     TEXT,
    job_id         TEXT,
    at_ms          INTEGER NOT NULL,
    reverses       INTEGER,
    CHECK ((kind = 'refund') = (reverses IS NOT NULL))
);
INSERT INTO new_transfer
    SELECT id, kind, currency, payer, payee, amount_micros, project_id, job_id, at_ms, NULL
      FROM transfer;
DROP TABLE transfer;
ALTER TABLE new_transfer RENAME TO transfer;

-- No job is charged twice, and none is both charged and given back, paid or refunded twice.
CREATE UNIQUE INDEX transfer_once ON transfer (job_id) WHERE kind IN ('post', 'void');
CREATE UNIQUE INDEX transfer_hold_once ON transfer (project_id) WHERE kind = 'hold';
CREATE UNIQUE INDEX transfer_earning_once ON transfer (job_id) WHERE kind = 'earning';
CREATE UNIQUE INDEX transfer_refund_once ON transfer (reverses) WHERE kind = 'refund';

-- Statements: what an account received, and what it paid for each project.
CREATE INDEX transfer_received ON transfer (payee, at_ms)
    WHERE kind IN ('grant', 'earning', 'refund');
CREATE INDEX transfer_paid ON transfer (payer, project_id) WHERE kind = 'post';

-- What a job was charged. Whether media that are withheld cost something is a setting, so neither
-- its state nor its price says it.
ALTER TABLE job ADD COLUMN charged_micros INTEGER NOT NULL DEFAULT 0;
UPDATE job SET charged_micros = price_micros WHERE state = 'completed' AND NOT withheld;
