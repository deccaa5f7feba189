/*
 * pg_way.c - from the settings to where connections lead.
 */
#include "conf/conf.h"
#include "pg/pg.h"

static const char *given(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : NULL;
}

struct pg_way pg_way(const struct conf *conf, const char *conninfo)
{
	static const enum pg_prepared prepared[] = {
		[CONF_PREPARED_AUTO] = PG_PREPARED_AUTO,
		[CONF_PREPARED_ALWAYS] = PG_PREPARED_ALWAYS,
		[CONF_PREPARED_NEVER] = PG_PREPARED_NEVER,
	};

	return (struct pg_way){
		.conninfo = conninfo,
		.hostaddr = given(conf->database.hostaddr),
		.direct = given(conf->database.direct_url),
		.prepared = prepared[conf->database.prepared],
	};
}

/* hostaddr belongs to the hosts of the other string. */
struct pg_way pg_way_direct(const struct pg_way *way)
{
	struct pg_way direct = *way;

	if (way->direct != NULL)
		direct = (struct pg_way){ .conninfo = way->direct,
					  .prepared = way->prepared };
	return direct;
}

static enum tl_status check(const char *name, const char *url,
			    const char *hostaddr, struct tl_err *err)
{
	if (url == NULL || pg_conninfo_check(url, hostaddr, err) == TL_OK)
		return TL_OK;
	return tl_err_wrap(err, "%s", name);
}

enum tl_status pg_way_check(const struct conf *conf, struct tl_err *err)
{
	const struct pg_way way = pg_way(conf, given(conf->database.url));
	enum tl_status st =
		check("database.url", way.conninfo, way.hostaddr, err);

	if (st == TL_OK)
		st = check("database.direct_url", way.direct, NULL, err);
	return st;
}
