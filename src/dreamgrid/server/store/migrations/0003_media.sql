-- Renders of several kinds of media, and what the content filter says of results.

UPDATE job SET render = CAST(json_set(
        CAST(render AS TEXT),
        '$.media', 'image',
        '$.assets', json(iif(json_extract(CAST(render AS TEXT), '$.strength') IS NULL,
                             '[]', '["startingImage"]'))
    ) AS BLOB);

ALTER TABLE project ADD COLUMN disable_safety INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN sensitive TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
