-- The tables whose rows are copied, and their columns.  A partitioned table
-- gives the rows of its partitions.  Left out is what belongs to this one
-- database and not to its content: the restored one is made by migrations,
-- numbers its transactions by itself, and knows no segment yet.
SELECT format('%I.%I', n.nspname, c.relname),
       string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE n.nspname IN ('public', 'tallyd')
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relpersistence = 'p'
   AND (n.nspname, c.relname) NOT IN (('tallyd', 'schema_migration'),
	('tallyd', 'instance'), ('tallyd', 'change_log'),
	('tallyd', 'flush_node'))
   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 GROUP BY n.nspname, c.relname
 ORDER BY n.nspname, c.relname;
