-- Where the sequences stand.  They may run ahead of the snapshot, never
-- behind it: that leaves out numbers and gives none twice.
SELECT format('SELECT pg_catalog.setval(%L, %s)',
	format('%I.%I', schemaname, sequencename), last_value)
  FROM pg_sequences
 WHERE schemaname IN ('public', 'tallyd') AND last_value IS NOT NULL
 ORDER BY schemaname, sequencename;
