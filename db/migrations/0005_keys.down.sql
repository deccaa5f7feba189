DROP FUNCTION tallyd.key_insert;
