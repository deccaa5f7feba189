-- tallyctl doctor: which of these keys were deleted, and their usage with them.
SELECT w.key_id
  FROM unnest(string_to_array(current_setting('tallyd.keys'), ',')::uuid[])
	AS w (key_id)
 WHERE NOT EXISTS (SELECT FROM public.api_keys k WHERE k.key_id = w.key_id);
