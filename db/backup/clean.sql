-- tallyctl restore --clean: as a new database.
BEGIN;
DROP SCHEMA IF EXISTS tallyd CASCADE;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
COMMIT;
