ALTER TABLE tallyd.task DROP COLUMN trace;
