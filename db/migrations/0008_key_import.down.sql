DROP FUNCTION tallyd.key_import;
CREATE OR REPLACE FUNCTION tallyd.change_note_keys() RETURNS trigger
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
CREATE OR REPLACE FUNCTION tallyd.change_note_users() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tallyd.change_log (kind, user_id)
		SELECT 'user', c.user_id FROM changed c;
	IF FOUND THEN
		NOTIFY tallyd_change;
	END IF;
	RETURN NULL;
END $$;
