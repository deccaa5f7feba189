-- tallyctl backup, first connection: from here on no batch of usage is
-- applied and none is half applied, until this transaction ends.  Each batch
-- updates this table first, and waits.
BEGIN;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '20s';
LOCK TABLE tallyd.flush_node IN SHARE MODE;
