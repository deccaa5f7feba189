-- Cron: what was changed about the jobs that tallyd defines, and their runs.
-- The jobs themselves are a table of the program.

CREATE TABLE tallyd.cron_jobs (
	job TEXT PRIMARY KEY CHECK (char_length(job) BETWEEN 1 AND 64),
	schedule TEXT, -- NULL: as tallyd defines it
	time_zone TEXT, -- the same
	paused BOOLEAN NOT NULL DEFAULT false,
	-- Each slot up to here was run, or given up; none of them comes back.
	decided_until TIMESTAMPTZ NOT NULL
);

-- One row a slot, written before its work begins: a slot runs at most once,
-- whoever dies and however many schedulers believe that they lead.
CREATE TABLE tallyd.cron_runs (
	run_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job TEXT NOT NULL,
	slot TIMESTAMPTZ NOT NULL, -- when it was due, or was asked for
	asked_by TEXT, -- NULL: the schedule did
	node TEXT, -- whose scheduler ran it
	started_at TIMESTAMPTZ,
	finished_at TIMESTAMPTZ,
	-- lost: its scheduler died, so nobody knows.  skipped: the lock was
	-- taken, or the run before still went on.  missed: no scheduler then.
	outcome TEXT NOT NULL CHECK (outcome IN ('asked', 'running', 'done',
		'failed', 'lost', 'skipped', 'missed')),
	detail TEXT,
	UNIQUE (job, slot)
);
CREATE UNIQUE INDEX cron_runs_asked_key ON tallyd.cron_runs (job)
	WHERE outcome = 'asked';
CREATE INDEX cron_runs_open_idx ON tallyd.cron_runs (job)
	WHERE outcome IN ('asked', 'running');
CREATE INDEX cron_runs_job_run_id_idx ON tallyd.cron_runs (job, run_id);
CREATE INDEX cron_runs_slot_idx ON tallyd.cron_runs (slot);
