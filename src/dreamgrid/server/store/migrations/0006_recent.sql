-- Lists of recent jobs hold free and withheld ones too, so the index of an account's ended projects
-- covers all of them.

DROP INDEX project_history;
CREATE INDEX project_history ON project (account_id, ended_ms) WHERE ended_ms IS NOT NULL;
