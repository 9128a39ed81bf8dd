-- Sign-in with a wallet: accounts with an address and an email, sessions, and an account's history.

ALTER TABLE account ADD COLUMN email TEXT NOT NULL DEFAULT '';

-- Name and password make the wallet's key, and the name's case does not matter there.
CREATE UNIQUE INDEX account_username ON account (lower(username));
CREATE UNIQUE INDEX account_address ON account (lower(address)) WHERE address <> '';

-- One sign-in. token_id names the refresh token that is good now; the one before it stays good for
-- a moment, because several processes may share it.
CREATE TABLE session (
    id           TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES account (id),
    token_id     TEXT NOT NULL,
    previous_id  TEXT,
    rotated_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX session_expires ON session (expires_ms);

-- What an account received, and what its ended projects cost.
CREATE INDEX transfer_grant ON transfer (payee) WHERE kind = 'grant';
CREATE INDEX project_history ON project (account_id, ended_ms)
    WHERE ended_ms IS NOT NULL AND charged_micros > 0;
