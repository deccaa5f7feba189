#include "base/paths.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

const char *tl_datadir(void)
{
	const char *given = getenv("TALLY_DATADIR");

	return given != NULL && given[0] != '\0' ? given : TALLY_PKGDATADIR;
}

const char *tl_webdir(void)
{
	const char *given = getenv("TALLY_WEBDIR");

	return given != NULL && given[0] != '\0' ? given
						 : TALLY_PKGDATADIR "/web";
}

char *tl_path_absolute(const char *path)
{
	char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	char *whole =
		cwd == NULL ? tl_strdup(path) : tl_asprintf("%s/%s", cwd, path);

	free(cwd);
	return whole;
}
