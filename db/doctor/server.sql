-- tallyctl doctor: the server, as one who connects sees it.
SELECT current_setting('server_version'),
       current_setting('server_version_num'),
       (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
       current_setting('max_connections')::int8
		- current_setting('superuser_reserved_connections')::int8,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity
	 WHERE backend_type = 'client backend'
	   AND application_name NOT LIKE 'tallyd%'
	   AND pid <> pg_backend_pid()),
       pg_catalog.pg_is_in_recovery(),
       current_setting('transaction_read_only'),
       current_setting('TimeZone'),
       current_setting('synchronous_commit');
