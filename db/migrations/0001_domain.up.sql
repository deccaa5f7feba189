-- The domain: plans, users, keys, usage, named limits.
--
-- One domain for everything that comes: `users` holds every kind of person;
-- whoever owns keys, plan and quota is an account, which is a user today.
-- Later columns and tables are added by later migrations.  All times are
-- timestamptz in UTC; a day is a parameter, never CURRENT_DATE.

CREATE SCHEMA IF NOT EXISTS tallyd; -- also holds the migrator's own table

-- Who this database is.  A segment remembers database_id and never delivers
-- its counts to another database.
CREATE TABLE tallyd.instance (
	only_one BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_one),
	database_id UUID NOT NULL DEFAULT gen_random_uuid(),
	created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO tallyd.instance DEFAULT VALUES;

CREATE TABLE plans (
	plan_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	name VARCHAR(50) NOT NULL UNIQUE CHECK (name <> ''),
	daily_credit_limit INT NOT NULL CHECK (daily_credit_limit >= 0),
	price_cents INT NOT NULL CHECK (price_cents >= 0),
	features JSONB NOT NULL DEFAULT '{}',
	created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE users (
	user_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	email VARCHAR(255) NOT NULL CHECK (email <> ''),
	name VARCHAR(255),
	plan_id UUID NOT NULL REFERENCES plans,
	status VARCHAR(20) NOT NULL DEFAULT 'active'
		CHECK (status IN ('active', 'suspended')),
	created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
-- Stricter than UNIQUE (email), so that one would be redundant.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

-- Checks that cost something are domains: a domain is checked when a value is
-- made, a CHECK of the table at each update of the row, which would double the
-- price of last_used_at.
CREATE DOMAIN tallyd.digest_hex AS VARCHAR(64)
	CHECK (VALUE ~ '^[0-9a-f]{64}$');
CREATE DOMAIN tallyd.scope_list AS TEXT[] -- no NULLs, one dimension
	CHECK (array_position(VALUE, NULL) IS NULL);
CREATE DOMAIN tallyd.cidr_list AS CIDR[]
	CHECK (array_position(VALUE, NULL) IS NULL);

-- The secret itself is nowhere: key_hash is SHA-256 of the full key in lower
-- case hex, key_prefix is for the eye only.  fillfactor: last_used_at changes
-- at each flush and is in no index, so those updates stay on their page (HOT).
CREATE TABLE api_keys (
	key_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
	key_prefix VARCHAR(20) NOT NULL,
	key_hash tallyd.digest_hex NOT NULL UNIQUE,
	label VARCHAR(100) NOT NULL DEFAULT 'Default',
	status VARCHAR(20) NOT NULL DEFAULT 'active'
		CHECK (status IN ('active', 'revoked')),
	created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	last_used_at TIMESTAMPTZ,
	revoked_at TIMESTAMPTZ,
	-- Null or empty means none, for all that follow.
	expires_at TIMESTAMPTZ CHECK (isfinite(expires_at)),
	scopes tallyd.scope_list,
	allowed_ips tallyd.cidr_list,
	rate_limit INT CHECK (rate_limit > 0), -- per limits.window_ms
	daily_credit_limit INT CHECK (daily_credit_limit >= 0),
	metadata JSONB,
	grace_until TIMESTAMPTZ CHECK (isfinite(grace_until))
) WITH (fillfactor = 70);
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);
CREATE INDEX api_keys_created_at_idx ON api_keys (created_at, key_id);
CREATE INDEX api_keys_key_prefix_idx ON api_keys (key_prefix);

-- Written by tallyd.flush_apply only.  The order of columns in the indexes is
-- by use: (key_id, date, user_id) is the UNIQUE rule and what deleting a key
-- looks through, (date, user_id) is how a start walks today's users in pages.
CREATE TABLE daily_usage (
	daily_usage_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
	key_id UUID NOT NULL REFERENCES api_keys ON DELETE CASCADE,
	date DATE NOT NULL,
	credits_used BIGINT NOT NULL DEFAULT 0,
	request_count BIGINT NOT NULL DEFAULT 0,
	cost_micro_usd BIGINT NOT NULL DEFAULT 0,
	updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (key_id, date, user_id)
) WITH (fillfactor = 70);
CREATE INDEX daily_usage_user_id_date_idx ON daily_usage (user_id, date);
CREATE INDEX daily_usage_date_user_id_idx ON daily_usage (date, user_id);

-- Limits by name (the built-in ones 'key' and 'address' come from the
-- configuration, so their names are taken).
CREATE TABLE limits (
	limit_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	name VARCHAR(40) NOT NULL UNIQUE
		CHECK (name ~ '^[a-z0-9_.-]{1,40}$')
		CHECK (name NOT IN ('key', 'address')),
	count INT NOT NULL CHECK (count >= 0),
	window_ms INT NOT NULL CHECK (window_ms >= 1000),
	algorithm VARCHAR(20) NOT NULL DEFAULT 'sliding'
		CHECK (algorithm IN ('sliding', 'gcra')),
	burst INT NOT NULL DEFAULT 0 CHECK (burst >= 0),
	scope VARCHAR(20) NOT NULL DEFAULT 'key'
		CHECK (scope IN ('key', 'user', 'address')),
	shadow BOOLEAN NOT NULL DEFAULT false,
	created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- One subject's own count for a limit.
CREATE TABLE limit_overrides (
	limit_override_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	limit_id UUID NOT NULL REFERENCES limits ON DELETE CASCADE,
	user_id UUID REFERENCES users ON DELETE CASCADE,
	key_id UUID REFERENCES api_keys ON DELETE CASCADE,
	count INT NOT NULL CHECK (count >= 0),
	created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	CONSTRAINT limit_overrides_one_subject
		CHECK (num_nonnulls(user_id, key_id) = 1),
	UNIQUE (user_id, limit_id),
	UNIQUE (key_id, limit_id)
);
CREATE INDEX limit_overrides_limit_id_idx ON limit_overrides (limit_id);

CREATE FUNCTION tallyd.set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	NEW.updated_at := now();
	RETURN NEW;
END $$;
CREATE TRIGGER users_updated_at BEFORE UPDATE ON users
	FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
	EXECUTE FUNCTION tallyd.set_updated_at();

-- Also for those who revoke by hand in SQL.
CREATE FUNCTION tallyd.set_revoked_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	NEW.revoked_at := coalesce(NEW.revoked_at, now());
	RETURN NEW;
END $$;
CREATE TRIGGER api_keys_revoked_at BEFORE INSERT OR UPDATE OF status
	ON api_keys FOR EACH ROW WHEN (NEW.status = 'revoked')
	EXECUTE FUNCTION tallyd.set_revoked_at();
