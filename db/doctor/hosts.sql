-- tallyctl doctor: other segments that deliver to this database.
SELECT count(*) FROM tallyd.flush_node
 WHERE replaced_by IS NULL
   AND node_id <> current_setting('tallyd.node')
   AND applied_at >= 'epoch'::timestamptz
	+ current_setting('tallyd.first_day')::int * INTERVAL '1 day';
