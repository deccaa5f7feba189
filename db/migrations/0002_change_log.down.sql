-- CASCADE reaches the triggers that call them, nothing else.
DROP FUNCTION tallyd.change_note(), tallyd.change_note_users(),
	tallyd.change_note_keys(), tallyd.change_note_overrides(),
	tallyd.change_note_user_update(), tallyd.change_note_key_update()
	CASCADE;
ALTER TABLE tallyd.instance DROP COLUMN changes_trimmed_xid;
DROP TABLE tallyd.change_log;
