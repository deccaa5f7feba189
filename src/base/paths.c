#include "base/paths.h"

#include <stdlib.h>

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
