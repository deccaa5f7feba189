-- The change log: what segments must read again.
--
-- Each change that can alter a decision leaves a row here and a NOTIFY on
-- tallyd_change.  The notification is a wake-up only, so its payload is empty
-- (equal ones of a transaction are sent once).  What is written at each
-- flush (last_used_at, daily_usage) never comes here: a commit that notifies
-- queues behind one lock of the whole server.
--
-- Readers go by (xid, change_id) and read below the oldest running
-- transaction only: a row that commits late never lies behind a position
-- that was passed already.
CREATE TABLE tallyd.change_log (
	change_id BIGSERIAL,
	xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
	-- 'plan', 'limit': read that small table again.  'user': user_id and
	-- its overrides.  'key': the key of key_hash.  'all': everything.
	kind TEXT NOT NULL CHECK (kind IN ('plan', 'limit', 'user', 'key', 'all')),
	key_hash BYTEA, -- the digest, 32 bytes
	user_id UUID,
	at TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (xid, change_id)
);
CREATE INDEX change_log_at_idx ON tallyd.change_log (at);

-- Rows below this transaction may have been trimmed away; a reader whose
-- position is older reads everything again.
ALTER TABLE tallyd.instance
	ADD COLUMN changes_trimmed_xid XID8 NOT NULL DEFAULT '0';

-- For small tables and TRUNCATE: the argument is the kind.
CREATE FUNCTION tallyd.change_note() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tallyd.change_log (kind) VALUES (TG_ARGV[0]);
	NOTIFY tallyd_change;
	RETURN NULL;
END $$;

-- For tables that come in bulk: one statement, one INSERT.  The transition
-- table is called `changed` for INSERT and DELETE alike.
CREATE FUNCTION tallyd.change_note_users() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tallyd.change_log (kind, user_id)
		SELECT 'user', c.user_id FROM changed c;
	IF FOUND THEN
		NOTIFY tallyd_change;
	END IF;
	RETURN NULL;
END $$;
CREATE FUNCTION tallyd.change_note_keys() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tallyd.change_log (kind, key_hash, user_id)
		SELECT 'key', decode(c.key_hash, 'hex'), c.user_id
		  FROM changed c;
	IF FOUND THEN
		NOTIFY tallyd_change;
	END IF;
	RETURN NULL;
END $$;
-- An override belongs to its subject.  A key that went away in the same
-- breath has left its own row.
CREATE FUNCTION tallyd.change_note_overrides() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tallyd.change_log (kind, key_hash, user_id)
		SELECT 'user', NULL, c.user_id FROM changed c
		 WHERE c.user_id IS NOT NULL
		UNION
		SELECT 'key', decode(k.key_hash, 'hex'), k.user_id
		  FROM changed c JOIN public.api_keys k USING (key_id);
	IF FOUND THEN
		NOTIFY tallyd_change;
	END IF;
	RETURN NULL;
END $$;

-- Updates are noted row by row: a trigger with a column list, which alone
-- costs nothing when another column is set, can have no transition table.
CREATE FUNCTION tallyd.change_note_user_update() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tallyd.change_log (kind, user_id)
		SELECT DISTINCT 'user', t.user_id
		  FROM (VALUES (OLD.user_id), (NEW.user_id)) t (user_id);
	NOTIFY tallyd_change;
	RETURN NULL;
END $$;
CREATE FUNCTION tallyd.change_note_key_update() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tallyd.change_log (kind, key_hash, user_id)
		SELECT DISTINCT 'key', decode(t.key_hash, 'hex'), t.user_id
		  FROM (VALUES (OLD.key_hash, OLD.user_id),
			       (NEW.key_hash, NEW.user_id))
			t (key_hash, user_id);
	NOTIFY tallyd_change;
	RETURN NULL;
END $$;

CREATE TRIGGER plans_change AFTER INSERT OR DELETE ON plans
	FOR EACH ROW EXECUTE FUNCTION tallyd.change_note('plan');
CREATE TRIGGER plans_change_update
	AFTER UPDATE OF plan_id, name, daily_credit_limit, features ON plans
	FOR EACH ROW WHEN (
		(OLD.plan_id, OLD.name, OLD.daily_credit_limit, OLD.features)
		IS DISTINCT FROM
		(NEW.plan_id, NEW.name, NEW.daily_credit_limit, NEW.features))
	EXECUTE FUNCTION tallyd.change_note('plan');
CREATE TRIGGER plans_change_truncate AFTER TRUNCATE ON plans
	EXECUTE FUNCTION tallyd.change_note('all');

CREATE TRIGGER limits_change AFTER INSERT OR DELETE ON limits
	FOR EACH ROW EXECUTE FUNCTION tallyd.change_note('limit');
CREATE TRIGGER limits_change_update AFTER UPDATE ON limits
	FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
	EXECUTE FUNCTION tallyd.change_note('limit');
CREATE TRIGGER limits_change_truncate AFTER TRUNCATE ON limits
	EXECUTE FUNCTION tallyd.change_note('all');

CREATE TRIGGER users_change_insert AFTER INSERT ON users
	REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_users();
CREATE TRIGGER users_change_delete AFTER DELETE ON users
	REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_users();
-- The e-mail decides who is an admin.
CREATE TRIGGER users_change_update
	AFTER UPDATE OF user_id, email, plan_id, status ON users
	FOR EACH ROW WHEN (
		(OLD.user_id, OLD.email, OLD.plan_id, OLD.status)
		IS DISTINCT FROM
		(NEW.user_id, NEW.email, NEW.plan_id, NEW.status))
	EXECUTE FUNCTION tallyd.change_note_user_update();
CREATE TRIGGER users_change_truncate AFTER TRUNCATE ON users
	EXECUTE FUNCTION tallyd.change_note('all');

CREATE TRIGGER api_keys_change_insert AFTER INSERT ON api_keys
	REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_keys();
CREATE TRIGGER api_keys_change_delete AFTER DELETE ON api_keys
	REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_keys();
CREATE TRIGGER api_keys_change_update
	AFTER UPDATE OF key_id, user_id, key_hash, status, expires_at, scopes,
		allowed_ips, rate_limit, daily_credit_limit, grace_until
	ON api_keys
	FOR EACH ROW WHEN (
		(OLD.key_id, OLD.user_id, OLD.key_hash, OLD.status,
		 OLD.expires_at, OLD.scopes, OLD.allowed_ips, OLD.rate_limit,
		 OLD.daily_credit_limit, OLD.grace_until)
		IS DISTINCT FROM
		(NEW.key_id, NEW.user_id, NEW.key_hash, NEW.status,
		 NEW.expires_at, NEW.scopes, NEW.allowed_ips, NEW.rate_limit,
		 NEW.daily_credit_limit, NEW.grace_until))
	EXECUTE FUNCTION tallyd.change_note_key_update();
CREATE TRIGGER api_keys_change_truncate AFTER TRUNCATE ON api_keys
	EXECUTE FUNCTION tallyd.change_note('all');

CREATE TRIGGER limit_overrides_change_insert AFTER INSERT ON limit_overrides
	REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_overrides();
CREATE TRIGGER limit_overrides_change_delete AFTER DELETE ON limit_overrides
	REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_overrides();
-- Nothing but the decision hangs on this table, so two plain triggers do:
-- the subject that lost its count, and the one that has it now.
CREATE TRIGGER limit_overrides_change_update_old
	AFTER UPDATE ON limit_overrides REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_overrides();
CREATE TRIGGER limit_overrides_change_update_new
	AFTER UPDATE ON limit_overrides REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION tallyd.change_note_overrides();
CREATE TRIGGER limit_overrides_change_truncate AFTER TRUNCATE
	ON limit_overrides EXECUTE FUNCTION tallyd.change_note('all');
