#include "tallyctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[m\033[?25h\033[?1049l"

static volatile sig_atomic_t got_quit, got_size, got_stop;
static struct termios before;

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		got_size = 1;
	else if (sig == SIGTSTP)
		got_stop = 1;
	else
		got_quit = 1;
}

bool screen_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term != NULL &&
	       term[0] != '\0' && strcmp(term, "dumb") != 0;
}

static void say(const char *sequence)
{
	(void)fputs(sequence, stdout);
	(void)fflush(stdout);
}

/* Keys come one by one and unseen; Ctrl-C and Ctrl-Z stay signals. */
static void take_terminal(void)
{
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	say(ENTER);
}

static void give_terminal(void)
{
	say(LEAVE);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

void screen_enter(void)
{
	static const int sigs[] = { SIGINT,  SIGTERM,  SIGHUP,
				    SIGQUIT, SIGWINCH, SIGTSTP };
	struct sigaction sa = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		(void)sigaction(sigs[i], &sa, NULL);
	(void)tcgetattr(STDIN_FILENO, &before);
	take_terminal();
}

void screen_leave(void)
{
	give_terminal();
}

void screen_size(uint32_t *rows_r, uint32_t *columns_r)
{
	struct winsize w;

	*rows_r = 24;
	*columns_r = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 &&
	    w.ws_col > 0) {
		*rows_r = w.ws_row;
		*columns_r = w.ws_col;
	}
}

/* As much of a line as fits; sequences and the tails of UTF-8 take no room. */
static void add_line(struct tl_buf *out, const char *p, size_t len,
		     uint32_t columns)
{
	uint32_t used = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\033') {
			while (i < len && p[i] != 'm')
				tl_buf_addc(out, p[i++]);
			tl_buf_addc(out, 'm');
			continue;
		}
		if (((unsigned char)p[i] & 0xc0) != 0x80 && used++ == columns)
			break;
		tl_buf_addc(out, p[i]);
	}
	/* Behind a full line this would take its last character. */
	tl_buf_adds(out, used < columns ? SCREEN_PLAIN "\033[K" : SCREEN_PLAIN);
}

void screen_show(struct tl_str page)
{
	uint32_t rows, columns, row = 0;
	struct tl_buf out;
	const char *end;

	screen_size(&rows, &columns);
	tl_buf_init(&out);
	tl_buf_adds(&out, "\033[H");
	while (page.len > 0 && row++ < rows) {
		end = memchr(page.ptr, '\n', page.len);
		if (end == NULL)
			end = page.ptr + page.len;
		if (row > 1)
			tl_buf_adds(&out, "\r\n");
		add_line(&out, page.ptr, (size_t)(end - page.ptr), columns);
		page.len -= (size_t)(end - page.ptr);
		page.ptr = end;
		if (page.len > 0) {
			page.ptr++;
			page.len--;
		}
	}
	tl_buf_adds(&out, "\033[J");
	(void)fwrite(out.ptr, 1, out.len, stdout);
	(void)fflush(stdout);
	tl_buf_deinit(&out);
}

static void stop(void)
{
	got_stop = 0;
	give_terminal();
	(void)raise(SIGSTOP);
	take_terminal(); /* somebody said fg */
}

/* False: go on waiting. */
static bool read_key(enum screen_event *e_r)
{
	char c;
	ssize_t n = read(STDIN_FILENO, &c, 1);

	if (n < 0 && errno == EINTR)
		return false;
	*e_r = SCREEN_QUIT; /* also when the terminal is gone */
	return n <= 0 || c == 'q' || c == 'Q';
}

enum screen_event screen_wait(uint32_t ms)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t due_mono_ms = tl_mono_ms() + ms, now = due_mono_ms - ms;
	enum screen_event e;
	int n;

	do {
		n = poll(&fd, 1, (int)(due_mono_ms - now));
		if (got_quit)
			return SCREEN_QUIT;
		if (got_stop) {
			stop();
			return SCREEN_REPAINT;
		}
		if (got_size) {
			got_size = 0;
			return SCREEN_REPAINT;
		}
		if (n > 0 && read_key(&e))
			return e;
		now = tl_mono_ms();
	} while (now < due_mono_ms);
	return SCREEN_TIME;
}
