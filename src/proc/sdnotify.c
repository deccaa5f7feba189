#include "config.h"

#include "proc/sdnotify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define MANAGER_WORDS 3

static struct {
	int fd; /* connected; -1: nobody listens */
	uint32_t watchdog_ms;
	char *words[MANAGER_WORDS + 1]; /* for the next program */
} manager = { .fd = -1 };

static const char *const names[MANAGER_WORDS] = { "NOTIFY_SOCKET",
						  "WATCHDOG_USEC",
						  "WATCHDOG_PID" };

static void connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd;

	if (len < 2 || len >= sizeof(sa.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0'; /* the abstract namespace */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&sa,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) <
	    0) {
		close(fd);
		return;
	}
	manager.fd = fd;
}

static uint32_t read_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t us, whose;

	if (usec == NULL ||
	    !tl_parse_u64(tl_str_c(usec), 2000, 3600000000ULL, &us))
		return 0;
	if (pid != NULL &&
	    (!tl_parse_u64(tl_str_c(pid), 1, INT32_MAX, &whose) ||
	     whose != (uint64_t)getpid()))
		return 0;
	return (uint32_t)(us / 2000);
}

void sdnotify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path != NULL)
		connect_to(path);
	manager.watchdog_ms = manager.fd >= 0 ? read_watchdog_ms() : 0;
	for (size_t i = 0, n = 0; i < MANAGER_WORDS; i++) {
		const char *value = getenv(names[i]);

		tl_free(manager.words[i]);
		manager.words[i] = NULL;
		if (value != NULL)
			manager.words[n++] =
				tl_asprintf("%s=%s", names[i], value);
		unsetenv(names[i]);
	}
}

char *const *sdnotify_words(void)
{
	return manager.words;
}

void sdnotify_deinit(void)
{
	if (manager.fd >= 0)
		close(manager.fd);
	manager.fd = -1;
	for (size_t i = 0; i < MANAGER_WORDS; i++)
		tl_freep(&manager.words[i]);
}

uint32_t sdnotify_watchdog_ms(void)
{
	return manager.watchdog_ms;
}

static void say(const char *text)
{
	/* Nothing can be done about a manager that does not listen. */
	if (manager.fd >= 0)
		(void)!send(manager.fd, text, strlen(text), MSG_NOSIGNAL);
}

void sdnotify_ready(void)
{
	say("READY=1");
}

void sdnotify_upgraded(void)
{
	char text[48];

	snprintf(text, sizeof(text), "READY=1\nMAINPID=%ld", (long)getpid());
	say(text);
}

void sdnotify_reloading(void)
{
	char text[80];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)(tl_mono_ns() / 1000));
	say(text);
}

void sdnotify_stopping(void)
{
	say("STOPPING=1");
}

void sdnotify_watchdog(void)
{
	say("WATCHDOG=1");
}

void sdnotify_status(const char *fmt, ...)
{
	char text[256] = "STATUS=";
	size_t at = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + at, sizeof(text) - at, fmt, ap);
	va_end(ap);
	say(text);
}
