#include "config.h" /* _GNU_SOURCE */

#include "lib/world.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/pgtest.h"

static char *dir;
static char tag[32];
static pid_t owner;

static int remove_one(const char *path, const struct stat *sb, int type,
		      struct FTW *ftw)
{
	(void)sb;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void world_deinit(void)
{
	char pattern[64];
	glob_t g;
	size_t i;

	if (dir == NULL || owner != getpid())
		return; /* a child of a test leaves all to its parent */
	snprintf(pattern, sizeof(pattern), "/dev/shm/tallyd.%s-*", tag);
	if (glob(pattern, 0, NULL, &g) == 0) {
		for (i = 0; i < g.gl_pathc; i++)
			unlink(g.gl_pathv[i]);
		globfree(&g);
	}
	if (getenv("KEEP_TEST_DIR") == NULL)
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	else
		fprintf(stderr, "kept: %s\n", dir);
	tl_freep(&dir);
}

void world_init(void)
{
	const char *tmp = getenv("TMPDIR");

	dir = tl_asprintf("%s/tt.XXXXXX", tmp != NULL ? tmp : pgtest_base());
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
		world_die("cannot make '%s': %s", dir, strerror(errno));
	owner = getpid();
	snprintf(tag, sizeof(tag), "t%ld", (long)owner);
	atexit(world_deinit);
}

const char *world_tag(void)
{
	return tag;
}

char *world_path(const char *name)
{
	return tl_asprintf("%s/%s", dir, name);
}

char *world_read(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t len = 0, cap = 4096, n;
	char *text = tl_alloc(cap);

	while (f != NULL && (n = fread(text + len, 1, cap - len - 1, f)) > 0) {
		len += n;
		if (cap - len < 2) { /* doubles: logs are large */
			cap *= 2;
			text = tl_realloc(text, cap);
		}
	}
	text[len] = '\0';
	if (f != NULL)
		fclose(f);
	return text;
}

void world_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1); /* no abort: what was made must be removed */
}

char *world_program(const char *name)
{
	const char *bindir = getenv("TALLY_BINDIR");
	char *path, *up = tl_strdup("."), *next;
	unsigned i;

	if (bindir != NULL) {
		tl_free(up);
		return tl_asprintf("%s/%s", bindir, name);
	}
	for (i = 0; i < 5; i++) {
		path = tl_asprintf("%s/%s", up, name);
		if (access(path, X_OK) == 0) {
			tl_free(up);
			next = realpath(path, NULL);
			tl_free(path);
			path = tl_strdup(next);
			free(next);
			return path;
		}
		tl_free(path);
		next = tl_asprintf("../%s", up);
		tl_free(up);
		up = next;
	}
	world_die("'%s' is not built, or set TALLY_BINDIR", name);
}
