/*
 * pg_fail.c - SQLSTATE to status and words.
 *
 * The words end in "[SQLSTATE]" and, for a constraint, "(constraint name)", so
 * that a struct tl_err alone can be asked for both later.
 */
#include "pg/pg_fail.h"

#include <stdio.h>
#include <string.h>

#include "pg/pg.h"

#define CONSTRAINT_MARK "] (constraint "

static const struct {
	const char *prefix;
	enum tl_status status;
} meanings[] = {
	{ "23", TL_CONFLICT },
	{ "TL", TL_CONFLICT }, /* raised by our own functions */
	{ "57014", TL_DEADLINE },
	{ "40001", TL_BUSY },
	{ "40P01", TL_BUSY },
	{ "55P03", TL_BUSY },
	{ "0A000", TL_BUSY }, /* in a transaction: right at the next try */
	{ "26000", TL_BUSY },
	{ "08", TL_UNAVAILABLE },
	{ "53", TL_UNAVAILABLE },
	{ "57P", TL_UNAVAILABLE },
	{ "25006", TL_UNAVAILABLE }, /* became a standby */
	{ "25P03", TL_UNAVAILABLE }, /* idle in transaction for too long */
};

const char *pg_sqlstate(const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return state != NULL ? state : "";
}

bool pg_sqlstate_is_stale(const char *sqlstate)
{
	return strcmp(sqlstate, "0A000") == 0 || strcmp(sqlstate, "26000") == 0;
}

bool pg_sqlstate_is_of_names(const char *sqlstate)
{
	return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0;
}

bool pg_sqlstate_is_lost(const char *sqlstate)
{
	return strncmp(sqlstate, "08", 2) == 0 ||
	       strncmp(sqlstate, "57P", 3) == 0 ||
	       strcmp(sqlstate, "25006") == 0 || strcmp(sqlstate, "25P03") == 0;
}

enum tl_status pg_fail(const PGresult *res, const char *doing,
		       struct tl_err *err)
{
	const char *state = pg_sqlstate(res);
	const char *words = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *name = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
	enum tl_status st = TL_BROKEN;

	if (state[0] == '\0') /* by libpq: the connection broke */
		st = TL_UNAVAILABLE;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strncmp(state, meanings[i].prefix,
			    strlen(meanings[i].prefix)) == 0)
			st = meanings[i].status;
	if (words == NULL)
		words = "no reason given";
	if (name == NULL)
		return tl_err_set(err, st, "%.100s: %.200s [%s]", doing, words,
				  state);
	return tl_err_set(err, st,
			  "%.100s: %.200s [%s" CONSTRAINT_MARK "%.64s)", doing,
			  words, state, name);
}

/* The last one: a server's message may hold the words too. */
static const char *find_constraint(const char *text)
{
	const char *at = NULL, *next = text;

	while ((next = strstr(next, CONSTRAINT_MARK)) != NULL)
		at = next++;
	return at;
}

/* Both answer from one static buffer: it is good until the next question. */
const char *pg_err_constraint(const struct tl_err *err)
{
	static char name[65];
	const char *at = find_constraint(err->text);
	size_t len;

	name[0] = '\0';
	if (at == NULL)
		return name;
	at += sizeof(CONSTRAINT_MARK) - 1;
	len = strlen(at);
	if (len > 0 && at[len - 1] == ')')
		len--;
	snprintf(name, sizeof(name), "%.*s", (int)len, at);
	return name;
}

bool pg_err_in_doubt(const struct tl_err *err)
{
	size_t len = strlen(err->text), mark = sizeof(PG_IN_DOUBT) - 1;

	return len >= mark && strcmp(err->text + len - mark, PG_IN_DOUBT) == 0;
}

const char *pg_err_sqlstate(const struct tl_err *err)
{
	static char state[6];
	const char *end = find_constraint(err->text);

	state[0] = '\0';
	if (end == NULL)
		end = strrchr(err->text, ']');
	if (end != NULL && end - err->text >= 6 && end[-6] == '[')
		snprintf(state, sizeof(state), "%.5s", end - 5);
	return state;
}
