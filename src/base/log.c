/*
 * log.c - see log.h.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_sink.h"

/* Longer messages are cut, with dots; fields are the caller's measure. */
#define MSG_MAX_BYTES 2048

static struct {
	struct log_sink sink;
	char process[48];
	uint64_t lost; /* lines, since it was asked for last */
} state = { .sink = LOG_SINK_STDERR, .process = "tallyd" };

/* Of this process alone, until log_share puts it where its children see it. */
static _Atomic int own_level = LOG_LV_INFO;
static _Atomic int *level_word = &own_level;

/* The line being composed; kept, so that logging rarely takes memory. */
static _Thread_local struct tl_buf line;

static const char *const names[] = {
	[LOG_LV_ERROR] = "error",
	[LOG_LV_WARN] = "warn",
	[LOG_LV_INFO] = "info",
	[LOG_LV_DEBUG] = "debug",
};

enum tl_status log_open_target(const char *target, const char *socket,
			       struct tl_err *err)
{
	struct log_sink fresh;
	enum tl_status st = log_sink_open(target, socket, &fresh, err);

	if (st != TL_OK)
		return st;
	log_close();
	state.sink = fresh;
	return TL_OK;
}

enum tl_status log_open(const char *path, struct tl_err *err)
{
	return log_open_target(path, NULL, err);
}

enum tl_status log_reopen(struct tl_err *err)
{
	return log_sink_reopen(&state.sink, err);
}

void log_close(void)
{
	log_sink_close(&state.sink);
	tl_buf_deinit(&line);
}

void log_share(void)
{
	_Atomic int *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED) /* then each process has its own */
		return;
	atomic_store(page, atomic_load(level_word));
	level_word = page;
}

uint64_t log_lost_take(void)
{
	uint64_t n = state.lost;

	state.lost = 0;
	return n;
}

void log_lost_add(uint64_t lines)
{
	state.lost += lines;
}

void log_set_process(const char *kind, unsigned number)
{
	(void)snprintf(state.process, sizeof(state.process), "%s/%u", kind,
		       number);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(level_word, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(level_word,
						    memory_order_relaxed);
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
 * There is nobody to report to when it is not taken.  An error that syslog or
 * journald can not have is worth a try on stderr: somebody should act.
 */
static void send_line(enum log_level level)
{
	struct log_sink plain = LOG_SINK_STDERR;
	uint64_t before = state.lost, none = 0;

	if (log_sink_put(&state.sink, level, tl_buf_str(&line), true,
			 &state.lost) == 0)
		state.lost++;
	if (state.lost != before && level == LOG_LV_ERROR &&
	    state.sink.kind != LOG_SINK_STREAM)
		(void)log_sink_put(&plain, level, tl_buf_str(&line), false,
				   &none);
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

	if (level > log_get_level())
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
	send_line(level);
	errno = saved;
}

void log_members(enum log_level level, struct tl_str members)
{
	int saved = errno;

	if (level > log_get_level())
		return;
	begin_line(level);
	if (members.len > 0) {
		tl_buf_addc(&line, ',');
		tl_buf_add(&line, members.ptr, members.len);
	}
	tl_buf_add(&line, "}\n", 2);
	send_line(level);
	errno = saved;
}

size_t log_lines(enum log_level level, struct tl_str lines)
{
	int saved = errno;
	size_t n;

	if (level > log_get_level())
		return lines.len;
	n = log_sink_put(&state.sink, level, lines, false, &state.lost);
	errno = saved;
	return n;
}

const char *log_process(void)
{
	return state.process;
}
