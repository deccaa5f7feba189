-- Partitions are made while the daemon runs, not by migrations.
SELECT format('CREATE TABLE IF NOT EXISTS %I.%I PARTITION OF %I.%I %s',
	n.nspname, c.relname, pn.nspname, p.relname,
	pg_get_expr(c.relpartbound, c.oid))
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_inherits i ON i.inhrelid = c.oid
  JOIN pg_class p ON p.oid = i.inhparent
  JOIN pg_namespace pn ON pn.oid = p.relnamespace
 WHERE c.relispartition AND c.relkind = 'r'
   AND pn.nspname IN ('public', 'tallyd')
 ORDER BY 1;
