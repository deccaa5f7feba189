-- Cron: what was changed about jobs, and their runs; the rules are in the
-- migration.  Whoever changes something tells the scheduler that leads.

-- name: cron_changes :many
-- What was changed about jobs, and up to where their slots are decided.
SELECT job, schedule, time_zone, paused, decided_until
  FROM tallyd.cron_jobs
 ORDER BY job
 LIMIT :max::int8;

-- name: cron_meet :exec
-- Jobs that this database sees for the first time: their slots begin now, and
-- some of them have a first run at once.
WITH met AS (
	INSERT INTO tallyd.cron_jobs (job, decided_until)
	SELECT j.job, :now::timestamptz FROM unnest(:jobs::text[]) AS j (job)
	ON CONFLICT (job) DO NOTHING
	RETURNING job
)
INSERT INTO tallyd.cron_runs (job, slot, asked_by, outcome)
SELECT m.job, :now::timestamptz, 'tallyd', 'asked'
  FROM met m
 WHERE m.job = ANY (:at_once::text[])
ON CONFLICT DO NOTHING;

-- name: cron_change :one
-- Changes what is given (its set_ is true; NULL: as tallyd defines it).
-- Slots that were due before are not made up for under another schedule, nor
-- those of a pause.
WITH changed AS (
	INSERT INTO tallyd.cron_jobs AS j (job, schedule, time_zone, paused,
		decided_until)
	VALUES (:job::text, CASE WHEN :set_schedule::bool THEN :schedule?::text END,
		CASE WHEN :set_zone::bool THEN :time_zone?::text END,
		coalesce(:paused?::bool, false), :now::timestamptz)
	ON CONFLICT (job) DO UPDATE
	   SET schedule = CASE WHEN :set_schedule::bool THEN EXCLUDED.schedule
			ELSE j.schedule END,
	       time_zone = CASE WHEN :set_zone::bool THEN EXCLUDED.time_zone
			ELSE j.time_zone END,
	       paused = coalesce(:paused?::bool, j.paused),
	       decided_until = greatest(j.decided_until,
			EXCLUDED.decided_until)
	RETURNING *
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'cron.update', NULL, c.job
		|| coalesce(', schedule ' || c.schedule, '')
		|| coalesce(', time zone ' || c.time_zone, '')
		|| CASE WHEN c.paused THEN ', paused' ELSE '' END
	  FROM changed c
)
SELECT c.job AS "job!", pg_notify('tallyd_cron', '')::text AS told
  FROM changed c;

-- name: cron_claim :one
-- Takes a slot; no row when it was taken before.
WITH claimed AS (
	INSERT INTO tallyd.cron_runs (job, slot, node, started_at, outcome)
	VALUES (:job::text, :slot::timestamptz, :node::text, now(), 'running')
	ON CONFLICT (job, slot) DO NOTHING
	RETURNING run_id
), decided AS (
	UPDATE tallyd.cron_jobs
	   SET decided_until = greatest(decided_until, :slot::timestamptz)
	 WHERE job = :job::text
)
SELECT run_id AS "run_id!" FROM claimed;

-- name: cron_pass :exec
-- A slot that is not run: 'skipped' or 'missed', and why.
WITH decided AS (
	UPDATE tallyd.cron_jobs
	   SET decided_until = greatest(decided_until, :slot::timestamptz)
	 WHERE job = :job::text
)
INSERT INTO tallyd.cron_runs (job, slot, node, finished_at, outcome, detail)
VALUES (:job::text, :slot::timestamptz, :node::text, now(), :outcome::text,
	:detail::text)
ON CONFLICT (job, slot) DO NOTHING;

-- name: cron_asked :many
-- Runs that were asked for and not begun.
SELECT run_id, job, slot
  FROM tallyd.cron_runs
 WHERE outcome = 'asked'
 ORDER BY run_id
 LIMIT :max::int8;

-- name: cron_begin :exec
-- Begins a run that was asked for; 0 rows when somebody else has.
UPDATE tallyd.cron_runs
   SET outcome = 'running', started_at = now(), node = :node::text
 WHERE run_id = :run_id AND outcome = 'asked';

-- name: cron_finish :exec
-- How a run of ours ended: 'done', 'failed', 'skipped'; 0 rows when another
-- scheduler has taken us for dead.
UPDATE tallyd.cron_runs
   SET outcome = :outcome::text, detail = nullif(:detail::text, ''),
       finished_at = now()
 WHERE run_id = :run_id AND outcome = 'running';

-- name: cron_lost :many
-- The one that leads says which runs are its own; whatever else runs here is a
-- dead one's.  Their jobs.
WITH lost AS (
	UPDATE tallyd.cron_runs
	   SET outcome = 'lost', finished_at = now(),
	       detail = 'its scheduler is gone; nobody knows how far it came'
	 WHERE outcome = 'running' AND run_id <> ALL (:mine::int8[])
	RETURNING job
)
SELECT job AS "job!" FROM lost LIMIT :max::int8;

-- name: cron_ask :one
-- Asks for a run at once.  run_id NULL: one is asked for or going on already.
WITH made AS (
	INSERT INTO tallyd.cron_runs (job, slot, asked_by, outcome)
	SELECT :job::text, :now::timestamptz, :actor::text, 'asked'
	 WHERE NOT EXISTS (SELECT FROM tallyd.cron_runs r
			    WHERE r.job = :job::text
			      AND r.outcome IN ('asked', 'running'))
	ON CONFLICT DO NOTHING
	RETURNING run_id, job, slot
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'cron.run', NULL, m.job FROM made m
)
SELECT m.run_id, m.slot,
       CASE WHEN m.run_id IS NOT NULL
		THEN pg_notify('tallyd_cron', '')::text END AS told
  FROM (SELECT 1) AS one LEFT JOIN made m ON true;

-- name: cron_run_find :one
-- One run.
SELECT run_id, job, slot, asked_by, node, started_at, finished_at, outcome,
       detail
  FROM tallyd.cron_runs
 WHERE run_id = :run_id;

-- name: cron_history :many row=cron_run_find
-- Runs of one job or of all, newest first, older than :before when given.
SELECT run_id, job, slot, asked_by, node, started_at, finished_at, outcome,
       detail
  FROM tallyd.cron_runs
 WHERE (:job?::text IS NULL OR job = :job?::text)
   AND (:before?::int8 IS NULL OR run_id < :before?::int8)
 ORDER BY run_id DESC
 LIMIT :max::int8;

-- name: cron_last :many row=cron_run_find
-- The newest run of each job.
SELECT r.run_id, r.job, r.slot, r.asked_by, r.node, r.started_at,
       r.finished_at, r.outcome, r.detail
  FROM (SELECT DISTINCT j.job FROM tallyd.cron_jobs j) AS j
 CROSS JOIN LATERAL (SELECT * FROM tallyd.cron_runs c
		      WHERE c.job = j.job
		      ORDER BY c.run_id DESC
		      LIMIT 1) AS r
 ORDER BY r.job
 LIMIT :max::int8;

-- name: cron_trim :exec
-- Forgets runs of slots before then, at most :max of them.
DELETE FROM tallyd.cron_runs
 WHERE run_id = ANY (ARRAY(SELECT r.run_id FROM tallyd.cron_runs r
			    WHERE r.slot < :before::timestamptz
			      AND r.outcome NOT IN ('asked', 'running')
			    ORDER BY r.slot
			    LIMIT :max::int8));
