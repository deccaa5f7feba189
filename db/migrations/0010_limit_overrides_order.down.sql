DROP INDEX limit_overrides_created_at_idx;
CREATE INDEX limit_overrides_limit_id_idx ON limit_overrides (limit_id);
