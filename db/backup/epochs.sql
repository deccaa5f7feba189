-- The last batch of each epoch that the snapshot holds.
SELECT node_id, epoch, last_seq FROM tallyd.flush_node;
