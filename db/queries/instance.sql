-- The database itself: who it is, and what changed in it.

-- name: instance_get :one
-- The identity a segment is bound to.
SELECT database_id, created_at FROM tallyd.instance;

-- name: change_tail :one
-- Where a reader stands that has just read everything: take this first, read
-- the tables, then go on with change_read from (xid, 0).  A reader whose own
-- xid is below trimmed_xid, or above xid (a restored copy), may have missed
-- changes and starts again from here.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8 AS "xid!",
       changes_trimmed_xid::text::int8 AS "trimmed_xid!"
  FROM tallyd.instance;

-- name: change_read :many
-- Changes after the position (xid, change_id), oldest first.  The next
-- position is that of the last final row: below the oldest running
-- transaction.  Rows behind that are new as well, but one that commits later
-- may still come to lie before them, so they are read again.
SELECT c.xid::text::int8 AS "xid!", c.change_id, c.kind,
       c.key_hash AS digest, c.user_id,
       c.xid < pg_snapshot_xmin(pg_current_snapshot()) AS "final!"
  FROM tallyd.change_log c
 WHERE (c.xid, c.change_id) > (:xid::int8::text::xid8, :change_id::int8)
 ORDER BY c.xid, c.change_id
 LIMIT :max::int8;

-- name: change_trim :one
-- Forgets changes older than so many seconds; says how many, at most :max.
WITH gone AS (
	DELETE FROM tallyd.change_log
	 WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM tallyd.change_log c
		WHERE c.at < now() - :keep_s::int8 * INTERVAL '1 second'
		  AND c.xid < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY c.at
		LIMIT :max::int8))
	RETURNING xid
), mark AS (
	UPDATE tallyd.instance i
	   SET changes_trimmed_xid = greatest(i.changes_trimmed_xid, t.xid)
	  FROM (SELECT max(xid::text::int8)::text::xid8 AS xid FROM gone) t
	 WHERE t.xid IS NOT NULL
)
SELECT count(*) AS "trimmed!" FROM gone;

-- name: clock :one
-- What time the database has, as one look at its clock.
SELECT clock_timestamp() AS "now!";
