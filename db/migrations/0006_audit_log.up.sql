-- Who changed what.  Rows are written in the transaction of the change they
-- tell of, never without it; details never hold a secret.
CREATE TABLE audit_log (
	id BIGSERIAL PRIMARY KEY,
	ts TIMESTAMPTZ NOT NULL DEFAULT now(),
	actor VARCHAR(255) NOT NULL, -- e-mail; 'tallyctl' for the command
	action TEXT NOT NULL, -- 'token.create', 'user.update', ...
	target TEXT, -- UUID of what was changed
	details TEXT
);

-- How the admin's lists are walked: newest first, stable under inserts.
CREATE INDEX users_created_at_idx ON users (created_at, user_id);
