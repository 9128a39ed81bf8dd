-- What a key may do, and how much it may spend. Caps count each currency by itself.

ALTER TABLE api_key ADD COLUMN scope TEXT NOT NULL DEFAULT 'all'
    CHECK (scope IN ('all', 'render', 'work', 'read'));
ALTER TABLE api_key ADD COLUMN max_per_day_micros INTEGER CHECK (max_per_day_micros >= 0);
ALTER TABLE api_key ADD COLUMN max_total_micros INTEGER CHECK (max_total_micros >= 0);

-- The key that a project was submitted with.
ALTER TABLE project ADD COLUMN key_id TEXT;

-- What projects of a capped key have cost so far, or hold: by the day (in UTC, counted from
-- 1970-01-01) on which they were submitted.
CREATE TABLE spending (
    key_id    TEXT NOT NULL,
    currency  TEXT NOT NULL,
    day       INTEGER NOT NULL,
    micros    INTEGER NOT NULL CHECK (micros >= 0),
    PRIMARY KEY (key_id, currency, day)
) WITHOUT ROWID;
