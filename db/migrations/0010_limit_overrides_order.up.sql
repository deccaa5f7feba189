-- How the overrides of a limit are walked: newest first, stable under inserts.
DROP INDEX limit_overrides_limit_id_idx;
CREATE INDEX limit_overrides_created_at_idx
	ON limit_overrides (limit_id, created_at, limit_override_id);
