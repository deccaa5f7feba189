/*
 * log_sink.h - where log lines go: stderr, a file, syslog, journald.
 *
 * No sink waits for who reads at the other end: a pipe, a terminal, a socket
 * that is full for longer than a moment loses the line, and it is counted.
 * A regular file takes as long as the disk does.
 * Inside base/: log.c alone uses it.
 */
#ifndef TALLY_BASE_LOG_SINK_H
#define TALLY_BASE_LOG_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "base/str.h"

enum log_sink_kind {
	LOG_SINK_STREAM,  /* stderr or a file: lines as they are */
	LOG_SINK_SYSLOG,  /* RFC 3164 in datagrams, one a line */
	LOG_SINK_JOURNAL, /* journald's own protocol, one datagram an entry */
};

struct log_sink {
	enum log_sink_kind kind;
	int fd;       /* -1: a socket that is not connected */
	char *path;   /* of the file or the socket; NULL: stderr */
	bool own_fd;  /* to be closed */
	bool regular; /* a file of a disk: written to the end */
	bool socket;  /* a stream socket, which open() can not open again */
	bool stuck;   /* the last line found no room: the next one does not
		       * wait for any */
	bool torn;    /* a line ended in its middle: begin with a new one */
	int facility; /* of syslog */
	uint64_t retry_mono_ms; /* a socket nobody listens at: not before */
	struct tl_buf frame;    /* the datagram being composed */
};
#define LOG_SINK_STDERR                                                        \
	{                                                                      \
		.kind = LOG_SINK_STREAM, .fd = 2                               \
	}

/* target as log.target says; socket: NULL or "" takes the usual path. */
enum tl_status log_sink_open(const char *target, const char *socket,
			     struct log_sink *s_r,
			     struct tl_err *err) TL_MUST_CHECK;
/* The same file once more, after it was renamed.  Else nothing to do. */
enum tl_status log_sink_reopen(struct log_sink *s,
			       struct tl_err *err) TL_MUST_CHECK;
void log_sink_close(struct log_sink *s); /* it is stderr then */
/*
 * Whole lines, ends included, of one level.  wait: a moment for room.  How
 * many bytes were taken, or can never be and were counted as lost: whole
 * lines; the rest found no room.
 */
size_t log_sink_put(struct log_sink *s, enum log_level level, struct tl_str l,
		    bool wait, uint64_t *lost);
/* 3, 4, 6 or 7. */
int log_severity(enum log_level level);

/* log_journal.c */
/*
 * One line of ours (JSON, or any text) as an entry in journald's protocol:
 * MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, and each member as TALLYD_<NAME>.
 */
void log_journal_frame(enum log_level level, const char *process,
		       struct tl_str line, struct tl_buf *out);

#endif
