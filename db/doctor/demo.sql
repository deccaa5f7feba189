-- tallyctl doctor: are there demo keys, which everybody knows, that work?
SELECT count(*)
  FROM public.api_keys k JOIN public.users u ON u.user_id = k.user_id
 WHERE k.status = 'active' AND u.status = 'active'
   AND k.key_id::text LIKE 'c0000000-0000-0000-0000-00000000000_'
   AND u.user_id::text LIKE 'b0000000-0000-0000-0000-00000000000_';
