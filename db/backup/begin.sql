-- tallyctl restore: the schema is there, by migrations.  Their rows go, the
-- rows of the backup come.  Foreign keys are taken off for that and checked
-- when they are put back, so the order of tables does not matter; triggers
-- stay silent, what they did is in the rows.
BEGIN;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL DateStyle = 'ISO';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL TimeZone = 'UTC';
SET LOCAL search_path = pg_catalog;
SET LOCAL client_min_messages = warning;

CREATE TEMP TABLE restore_table ON COMMIT DROP AS
SELECT c.oid::regclass AS name
  FROM pg_class c
 WHERE c.relnamespace IN ('public'::regnamespace, 'tallyd'::regnamespace)
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.oid NOT IN ('tallyd.schema_migration'::regclass,
	'tallyd.instance'::regclass);
CREATE TEMP TABLE restore_constraint ON COMMIT DROP AS
SELECT k.conrelid::regclass AS on_table, k.conname AS name,
       pg_get_constraintdef(k.oid) AS definition
  FROM pg_constraint k JOIN restore_table t ON t.name = k.conrelid
 WHERE k.contype = 'f' AND k.conparentid = 0;
CREATE TEMP TABLE tail_usage (user_id UUID, key_id UUID, date DATE,
	credits BIGINT, requests BIGINT, cost BIGINT, last_used_ms BIGINT)
	ON COMMIT DROP;
CREATE TEMP TABLE tail_answer (key_id UUID, idem_key TEXT, body_hash BYTEA,
	day DATE, credits BIGINT, cost BIGINT, used BIGINT, daily_limit BIGINT,
	requests BIGINT, at_ms BIGINT) ON COMMIT DROP;
CREATE TEMP TABLE tail_log (user_id UUID, key_id UUID, model TEXT,
	prompt INT, completion INT, credits INT, cost BIGINT, at_us BIGINT,
	date DATE) ON COMMIT DROP;

DO $$
DECLARE
	r RECORD;
BEGIN
	FOR r IN SELECT * FROM pg_temp.restore_constraint LOOP
		EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I',
			r.on_table, r.name);
	END LOOP;
	FOR r IN SELECT * FROM pg_temp.restore_table LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', r.name);
	END LOOP;
	EXECUTE (SELECT 'TRUNCATE ' || string_agg(name::text, ', ')
		   FROM pg_temp.restore_table);
END $$;
