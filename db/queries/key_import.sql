-- Keys by their hashes, from another product; the rules are in the migration.

-- name: key_import :one
-- One piece of an import.  Arrays but :emails have equal length.
-- SQLSTATE TL003: there is no such plan.
SELECT i.made AS "made!", i.held AS "held!", i.users_made AS "users_made!",
       i.bad_lines AS "bad_lines!", i.bad_whys AS "bad_whys!"
  FROM tallyd.key_import(:plan?, :emails, :owners, :lines, :key_ids,
	:digests, :prefixes, :labels, :created_us, :expires_us, :scopes,
	:allowed_ips, :rate_limits, :daily_limits, :metadata, :statuses) i;

-- name: key_import_note :exec
-- Leaves the audit row of an import, in its transaction.
INSERT INTO audit_log (actor, action, details)
VALUES ('tallyctl', 'token.import', :details::text);
