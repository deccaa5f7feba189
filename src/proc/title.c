#include "config.h"

#include "proc/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static struct {
	char *at; /* argv[0]; the strings of argv and environ follow each other
		   */
	size_t room_bytes;
	char *strings; /* of the environment, moved here */
	char **pointers;
} title;

static void move_environment(void)
{
	size_t n = 0, bytes = 0;
	char *to;

	for (; environ[n] != NULL; n++)
		bytes += strlen(environ[n]) + 1;
	title.pointers = tl_alloc_array(n + 1, sizeof(char *));
	title.strings = to = tl_alloc(bytes + 1);
	for (size_t i = 0; i < n; i++) {
		title.pointers[i] = to;
		to = stpcpy(to, environ[i]) + 1;
	}
	environ = title.pointers;
}

void title_init(int argc, char **argv)
{
	char *end = argv[0];

	for (int i = 0; i < argc; i++)
		if (argv[i] == end)
			end += strlen(argv[i]) + 1;
	for (char **e = environ; *e != NULL; e++)
		if (*e == end)
			end += strlen(*e) + 1;
	title.at = argv[0];
	title.room_bytes = (size_t)(end - argv[0]);
	move_environment();
}

void title_deinit(void)
{
	environ = NULL;
	tl_freep(&title.pointers);
	tl_freep(&title.strings);
}

void title_set(const char *fmt, ...)
{
	char text[128];
	va_list ap;
	int n;

	if (title.room_bytes == 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	memset(title.at, 0, title.room_bytes);
	snprintf(title.at, title.room_bytes, "%s", text);
}
