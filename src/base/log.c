/*
 * log.c - see log.h.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* Longer messages are cut, with dots; fields are the caller's measure. */
#define MSG_MAX_BYTES 2048
/* A reader of our pipe that sleeps longer than this loses the line. */
#define STUCK_MS 1000

static struct {
	int fd;
	char *path; /* NULL: stderr */
	enum log_level level;
	char process[48];
} state = { .fd = STDERR_FILENO, .level = LOG_LV_INFO, .process = "tallyd" };

/* The line being composed; kept, so that logging rarely takes memory. */
static _Thread_local struct tl_buf line;

static const char *const names[] = {
	[LOG_LV_ERROR] = "error",
	[LOG_LV_WARN] = "warn",
	[LOG_LV_INFO] = "info",
	[LOG_LV_DEBUG] = "debug",
};

static enum tl_status open_file(const char *path, int *fd_r, struct tl_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	if (fd < 0)
		return tl_err_sys(err, "open log file '%s'", path);
	*fd_r = fd;
	return TL_OK;
}

enum tl_status log_open(const char *path, struct tl_err *err)
{
	enum tl_status st;
	int fd = -1;

	if (path == NULL || strcmp(path, "stderr") == 0) {
		log_close();
		return TL_OK;
	}
	st = open_file(path, &fd, err);
	if (st != TL_OK)
		return st;
	log_close();
	state.fd = fd;
	state.path = tl_strdup(path);
	return TL_OK;
}

enum tl_status log_reopen(struct tl_err *err)
{
	enum tl_status st;
	int fd = -1;

	if (state.path == NULL)
		return TL_OK;
	st = open_file(state.path, &fd, err);
	if (st != TL_OK)
		return st; /* the old file stays: better there than nowhere */
	close(state.fd);
	state.fd = fd;
	return TL_OK;
}

void log_close(void)
{
	if (state.path != NULL)
		close(state.fd);
	state.fd = STDERR_FILENO;
	tl_freep(&state.path);
	tl_buf_deinit(&line);
}

void log_set_process(const char *kind, unsigned number)
{
	(void)snprintf(state.process, sizeof(state.process), "%s/%u", kind,
		       number);
}

void log_set_level(enum log_level level)
{
	state.level = level;
}

enum log_level log_get_level(void)
{
	return state.level;
}

bool log_level_parse(struct tl_str s, enum log_level *level_r)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (tl_str_ieq(s, tl_str_c(names[i]))) {
			*level_r = (enum log_level)i;
			return true;
		}
	}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return names[level];
}

/*
 * One write takes the whole line on a file and, up to PIPE_BUF, on a pipe.
 * What it does not take is sent after it; there is nobody to report to.
 */
static void send_line(void)
{
	const char *p = line.ptr;
	size_t left = line.len;

	while (left > 0) {
		ssize_t n = write(state.fd, p, left);
		struct pollfd pfd = { .fd = state.fd, .events = POLLOUT };

		if (n >= 0) {
			p += n;
			left -= (size_t)n;
		} else if (errno == EAGAIN) {
			/* Somebody made our stderr non-blocking. */
			if (poll(&pfd, 1, STUCK_MS) == 0)
				return;
		} else if (errno != EINTR) {
			return;
		}
	}
}

static void begin_line(enum log_level level)
{
	char when[TL_RFC3339_TEXT];

	tl_rfc3339_format(tl_wall_us(), when);
	tl_buf_reset(&line);
	tl_buf_adds(&line, "{\"time\":\"");
	tl_buf_adds(&line, when);
	tl_buf_adds(&line, "\",\"level\":\"");
	tl_buf_adds(&line, names[level]);
	tl_buf_adds(&line, "\",\"process\":");
	tl_buf_add_json(&line, tl_str_c(state.process));
	tl_buf_adds(&line, ",\"pid\":");
	tl_buf_addu(&line, (uint64_t)getpid());
}

void log_write(enum log_level level, const char *fields, const char *fmt, ...)
{
	int saved = errno;
	char msg[MSG_MAX_BYTES];
	va_list ap;
	int n;

	if (level > state.level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (n < 0)
		msg[0] = '\0';
	if (n >= (int)sizeof(msg))
		memcpy(msg + sizeof(msg) - 4, "...", 4);
	begin_line(level);
	tl_buf_adds(&line, ",\"msg\":");
	tl_buf_add_json(&line, tl_str_c(msg));
	if (fields != NULL && fields[0] != '\0') {
		tl_buf_addc(&line, ',');
		tl_buf_adds(&line, fields);
	}
	tl_buf_add(&line, "}\n", 2);
	send_line();
	errno = saved;
}

void log_members(enum log_level level, struct tl_str members)
{
	int saved = errno;

	if (level > state.level)
		return;
	begin_line(level);
	if (members.len > 0) {
		tl_buf_addc(&line, ',');
		tl_buf_add(&line, members.ptr, members.len);
	}
	tl_buf_add(&line, "}\n", 2);
	send_line();
	errno = saved;
}

void log_lines(enum log_level level, struct tl_str lines)
{
	int saved = errno;

	if (level > state.level)
		return;
	tl_buf_reset(&line);
	tl_buf_add(&line, lines.ptr, lines.len);
	send_line();
	errno = saved;
}

const char *log_process(void)
{
	return state.process;
}
