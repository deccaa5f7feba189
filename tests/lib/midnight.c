#include "config.h" /* TALLY_SANITIZERS */

#include "lib/midnight.h"

#include <glob.h>
#include <stdio.h>
#include <time.h>

#include "lib/fixture.h"

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

bool midnight_possible(void)
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

void midnight_up(int seconds)
{
	char preload[256], shift[64];
	long now = (long)time(NULL);

	ck_assert(find_libfaketime(preload));
	snprintf(shift, sizeof(shift), "FAKETIME=+%lds",
		 86400 - now % 86400 - seconds);
	daemon_setenv(d, preload);
	daemon_setenv(d, shift);
	daemon_setenv(d, "FAKETIME_DONT_FAKE_MONOTONIC=1");
	daemon_setenv(d, "DONT_FAKE_MONOTONIC=1");
	fixture_again();
}
