-- Results that their account removed: their files are gone, what they cost stays in the books.

ALTER TABLE job ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
