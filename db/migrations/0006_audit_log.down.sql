DROP INDEX users_created_at_idx;
DROP TABLE audit_log;
