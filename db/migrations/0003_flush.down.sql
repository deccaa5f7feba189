DROP FUNCTION tallyd.flush_node_open, tallyd.flush_apply, tallyd.flush_insert;
DROP TABLE tallyd.usage_orphan, tallyd.idempotency_record, tallyd.flush_node;
