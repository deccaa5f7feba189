/*
 * log_sink.c - see log_sink.h.
 */
#include "config.h" /* _GNU_SOURCE: memfd_create */

#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SYSLOG_SOCKET  "/dev/log"
#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define ROOM_MS        10 /* a moment: what a line waits for room at most */
#define RETRY_MS       1000
#define SYSLOG_MAX     8192 /* what rsyslog and syslog-ng take by default */

static const char *const facilities[] = {
	"kern",   "user",   "mail",   "daemon", "auth",     "syslog",
	"lpr",    "news",   "uucp",   "cron",   "authpriv", "ftp",
	"ntp",    "audit",  "alert",  "clock",  "local0",   "local1",
	"local2", "local3", "local4", "local5", "local6",   "local7",
};

int log_facility(struct tl_str name)
{
	for (size_t i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++)
		if (tl_str_ieq(name, tl_str_c(facilities[i])))
			return (int)i;
	return -1;
}

int log_severity(enum log_level level)
{
	static const int severities[] = { [LOG_LV_ERROR] = 3,
					  [LOG_LV_WARN] = 4,
					  [LOG_LV_INFO] = 6,
					  [LOG_LV_DEBUG] = 7 };

	return severities[level];
}

/* ---- opening ---- */

static enum tl_status open_file(const char *path, int *fd_r, struct tl_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	if (fd < 0)
		return tl_err_sys(err, "open log file '%s'", path);
	*fd_r = fd;
	return TL_OK;
}

/*
 * A description of our own of the pipe or terminal at stderr, so that it does
 * not wait while everybody else's goes on to.  Where that is not allowed
 * (another user's pipe) room is looked for before each write.
 */
static void look_at_stderr(struct log_sink *s)
{
	struct stat sb;
	int fd;

	if (fstat(STDERR_FILENO, &sb) < 0)
		return;
	s->regular = S_ISREG(sb.st_mode);
	s->socket = S_ISSOCK(sb.st_mode);
	if (s->regular || s->socket)
		return;
	fd = open("/proc/self/fd/2",
		  O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0) {
		s->fd = fd;
		s->own_fd = true;
	}
}

static bool starts(const char **text, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*text, word, n) != 0)
		return false;
	*text += n;
	return true;
}

enum tl_status log_sink_open(const char *target, const char *socket,
			     struct log_sink *s_r, struct tl_err *err)
{
	struct log_sink s = LOG_SINK_STDERR;
	const char *t = target != NULL ? target : "";
	bool elsewhere = socket != NULL && socket[0] != '\0';
	enum tl_status st = TL_OK;

	if (t[0] == '\0' || strcmp(t, "stderr") == 0) {
		look_at_stderr(&s);
	} else if (starts(&t, "syslog")) {
		s.kind = LOG_SINK_SYSLOG;
		s.facility =
			log_facility(tl_str_c(*t == ':' ? t + 1 : "daemon"));
		s.path = tl_strdup(elsewhere ? socket : SYSLOG_SOCKET);
		s.fd = -1;
	} else if (strcmp(t, "journald") == 0) {
		s.kind = LOG_SINK_JOURNAL;
		s.path = tl_strdup(elsewhere ? socket : JOURNAL_SOCKET);
		s.fd = -1;
	} else {
		(void)starts(&t, "file:");
		st = open_file(t, &s.fd, err);
		if (st != TL_OK)
			return st;
		s.path = tl_strdup(t);
		s.own_fd = s.regular = true;
	}
	*s_r = s;
	return TL_OK;
}

enum tl_status log_sink_reopen(struct log_sink *s, struct tl_err *err)
{
	enum tl_status st;
	int fd = -1;

	if (s->kind != LOG_SINK_STREAM || s->path == NULL)
		return TL_OK;
	st = open_file(s->path, &fd, err);
	if (st != TL_OK)
		return st; /* the old file stays: better there than nowhere */
	close(s->fd);
	s->fd = fd;
	return TL_OK;
}

void log_sink_close(struct log_sink *s)
{
	if (s->own_fd || (s->kind != LOG_SINK_STREAM && s->fd >= 0))
		close(s->fd);
	tl_free(s->path);
	tl_buf_deinit(&s->frame);
	*s = (struct log_sink)LOG_SINK_STDERR;
}

static bool room(const struct log_sink *s, int limit_ms)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLOUT };

	return poll(&pfd, 1, limit_ms) == 1;
}

static size_t count_lines(struct tl_str l)
{
	size_t n = 0;

	for (size_t i = 0; i < l.len; i++)
		n += l.ptr[i] == '\n';
	return n;
}

/* ---- stderr and files ---- */

/* As write(2), but where others share the description it must not wait. */
static ssize_t write_some(const struct log_sink *s, const char *p, size_t len)
{
	if (s->socket)
		return send(s->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!s->regular && !s->own_fd && !room(s, 0)) {
		errno = EAGAIN;
		return -1;
	}
	return write(s->fd, p, len);
}

/*
 * The lines at the front that one write() takes whole or not at all, so that
 * those of several processes never mix in a pipe; a longer one alone.
 */
static size_t next_piece(struct tl_str l)
{
	const char *end;

	if (l.len <= PIPE_BUF)
		return l.len;
	end = memrchr(l.ptr, '\n', PIPE_BUF);
	if (end == NULL)
		end = memchr(l.ptr, '\n', l.len);
	return end != NULL ? (size_t)(end - l.ptr) + 1 : l.len;
}

enum outcome { TAKEN, NO_ROOM, LOST };

static enum outcome put_piece(struct log_sink *s, const char *p, size_t len,
			      bool wait)
{
	bool begun = false;

	while (len > 0) {
		ssize_t n = write_some(s, p, len);

		if (n >= 0) {
			begun = begun || n > 0;
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			/* Half of it is there: a moment for the other half. */
			if ((begun || (wait && !s->stuck)) && room(s, ROOM_MS))
				continue;
			s->stuck = true;
			s->torn = s->torn || begun;
			return begun ? LOST : NO_ROOM;
		} else if (errno != EINTR) {
			s->torn = s->torn || begun;
			return LOST;
		}
	}
	s->stuck = false;
	return TAKEN;
}

static size_t put_stream(struct log_sink *s, struct tl_str l, bool wait,
			 uint64_t *lost)
{
	size_t done = 0;

	while (done < l.len) {
		struct tl_str left = { l.ptr + done, l.len - done };
		enum outcome o;

		if (!s->regular)
			left.len = next_piece(left);
		if (s->torn) {
			s->torn = false;
			o = put_piece(s, "\n", 1, wait);
			s->torn = o != TAKEN;
			if (o == NO_ROOM)
				break;
		}
		o = put_piece(s, left.ptr, left.len, wait);
		if (o == NO_ROOM)
			break;
		if (o == LOST)
			*lost += count_lines(left);
		done += left.len;
	}
	return done;
}

/* ---- sockets ---- */

static bool dial(struct log_sink *s)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(s->path);

	if (tl_mono_ms() < s->retry_mono_ms || len >= sizeof(un.sun_path))
		return false;
	memcpy(un.sun_path, s->path, len + 1);
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd >= 0 &&
	    connect(s->fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return true;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->retry_mono_ms = tl_mono_ms() + RETRY_MS;
	return false;
}

/* journald takes an entry that is too large for a datagram as a file of
 * memory that nobody can change any more. */
static ssize_t send_memfd(const struct log_sink *s)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct msghdr msg = { .msg_control = &control,
			      .msg_controllen = sizeof(control.room) };
	int fd = memfd_create("tallyd-log", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t n = -1;
	int e;

	if (fd < 0)
		return -1;
	if (write(fd, s->frame.ptr, s->frame.len) == (ssize_t)s->frame.len &&
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) ==
		    0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
		n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	e = errno;
	close(fd);
	errno = e;
	return n;
}

static ssize_t send_frame(const struct log_sink *s)
{
	ssize_t n = send(s->fd, s->frame.ptr, s->frame.len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == EMSGSIZE && s->kind == LOG_SINK_JOURNAL)
		return send_memfd(s);
	return n;
}

/* What s->frame holds.  A socket whose reader went away is made anew once. */
static enum outcome put_frame(struct log_sink *s, bool wait)
{
	bool fresh = s->fd < 0, waited = false;

	if (fresh && !dial(s))
		return LOST;
	while (send_frame(s) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == ENOBUFS) {
			if (wait && !waited && !s->stuck && room(s, ROOM_MS)) {
				waited = true;
				continue;
			}
			s->stuck = true;
			return NO_ROOM;
		}
		if (errno == EMSGSIZE) /* of this line, not of the socket */
			return LOST;
		close(s->fd);
		s->fd = -1;
		if (fresh || !dial(s))
			return LOST;
		fresh = true;
	}
	s->stuck = false;
	return TAKEN;
}

static void frame_syslog(struct log_sink *s, enum log_level level,
			 struct tl_str line)
{
	static const char month[12][4] = { "Jan", "Feb", "Mar", "Apr",
					   "May", "Jun", "Jul", "Aug",
					   "Sep", "Oct", "Nov", "Dec" };
	time_t now = (time_t)(tl_wall_us() / 1000000);
	struct tm tm;

	(void)localtime_r(&now, &tm); /* RFC 3164 knows no other time */
	tl_buf_reset(&s->frame);
	tl_buf_addf(&s->frame, "<%d>%s %2d %02d:%02d:%02d tallyd[%d]: ",
		    s->facility * 8 + log_severity(level), month[tm.tm_mon],
		    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		    (int)getpid());
	if (line.len > SYSLOG_MAX - s->frame.len) {
		tl_buf_add(&s->frame, line.ptr, SYSLOG_MAX - s->frame.len - 3);
		tl_buf_adds(&s->frame, "...");
	} else {
		tl_buf_add(&s->frame, line.ptr, line.len);
	}
}

static size_t put_lines(struct log_sink *s, enum log_level level,
			struct tl_str l, bool wait, uint64_t *lost)
{
	struct tl_str rest = l, line;
	size_t done = 0;

	while (tl_str_split(&rest, '\n', &line)) {
		enum outcome o;

		if (s->kind == LOG_SINK_SYSLOG)
			frame_syslog(s, level, line);
		else
			log_journal_frame(level, log_process(), line,
					  &s->frame);
		o = put_frame(s, wait);
		if (o == NO_ROOM)
			break;
		*lost += o == LOST;
		done += line.len + 1;
	}
	return done < l.len ? done : l.len;
}

size_t log_sink_put(struct log_sink *s, enum log_level level, struct tl_str l,
		    bool wait, uint64_t *lost)
{
	if (s->kind == LOG_SINK_STREAM)
		return put_stream(s, l, wait, lost);
	return put_lines(s, level, l, wait, lost);
}
