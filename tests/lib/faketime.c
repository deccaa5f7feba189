#include "config.h" /* TALLY_SANITIZERS */

#include "lib/faketime.h"

#include <glob.h>
#include <stdio.h>

#include "base/mem.h"
#include "lib/daemon.h"
#include "lib/world.h"

#ifdef TALLY_SANITIZERS
#define SANITIZED true
#else
#define SANITIZED false
#endif

static bool find_libfaketime(char preload[256])
{
	glob_t g;
	bool found =
		glob("/usr/lib/*/faketime/libfaketime.so.1", 0, NULL, &g) == 0;

	if (found)
		snprintf(preload, 256, "LD_PRELOAD=%s", g.gl_pathv[0]);
	globfree(&g);
	return found;
}

bool faketime_possible(void)
{
	char preload[256];

	if (SANITIZED)
		fputs("a sanitizer and libfaketime do not go together: "
		      "skipped\n",
		      stderr);
	else if (!find_libfaketime(preload))
		fputs("libfaketime is not installed: skipped\n", stderr);
	else
		return true;
	return false;
}

static void preload(struct daemon *d)
{
	char text[256];

	if (!find_libfaketime(text))
		world_die("libfaketime is gone");
	daemon_setenv(d, text);
	daemon_setenv(d, "FAKETIME_DONT_FAKE_MONOTONIC=1");
	daemon_setenv(d, "DONT_FAKE_MONOTONIC=1");
}

void faketime_shift(struct daemon *d, const char *shift)
{
	char *text = tl_asprintf("FAKETIME=%s", shift);

	preload(d);
	daemon_setenv(d, text);
	tl_free(text);
}

void faketime_file(struct daemon *d, const char *path)
{
	char *text = tl_asprintf("FAKETIME_TIMESTAMP_FILE=%s", path);

	preload(d);
	daemon_setenv(d, text);
	daemon_setenv(d, "FAKETIME_NO_CACHE=1");
	tl_free(text);
}
