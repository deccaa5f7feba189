-- The schema tallyd stays: the migrator keeps its own table there.
DROP TABLE limit_overrides, limits, daily_usage, api_keys, users, plans;
DROP TABLE tallyd.instance;
DROP FUNCTION tallyd.set_updated_at(), tallyd.set_revoked_at();
DROP DOMAIN tallyd.digest_hex, tallyd.scope_list, tallyd.cidr_list;
