DROP FUNCTION tallyd.request_logs_ensure(DATE);
DROP TABLE request_logs;
