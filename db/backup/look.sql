-- tallyctl restore: is there anything here that could get lost, and does a
-- daemon use it?  Tables that migrations made and nobody filled are empty.
DO $$
DECLARE
	full_table TEXT := '';
BEGIN
	IF to_regclass('tallyd.schema_migration') IS NULL THEN
		SELECT format('%I.%I', schemaname, tablename) INTO full_table
		  FROM pg_tables WHERE schemaname IN ('public', 'tallyd')
		 LIMIT 1;
	ELSIF to_regclass('public.users') IS NOT NULL
		AND EXISTS (SELECT FROM public.users) THEN
		full_table := 'public.users';
	END IF;
	PERFORM set_config('tallyd.full_table', coalesce(full_table, ''),
		false);
END $$;
SELECT current_setting('tallyd.full_table'),
       (SELECT count(*) FROM pg_stat_activity
	 WHERE datname = current_database()
	   AND application_name = 'tallyd flusher');
