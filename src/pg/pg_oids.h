/*
 * pg_oids.h - numbers of PostgreSQL's built-in types and epochs.
 *
 * From the server's pg_type.dat; they never change.
 */
#ifndef TALLY_PG_PG_OIDS_H
#define TALLY_PG_PG_OIDS_H

#include <stdint.h>

#include "pg/pg.h"

enum {
	PG_OID_BOOL = 16,
	PG_OID_BYTEA = 17,
	PG_OID_NAME = 19,
	PG_OID_INT8 = 20,
	PG_OID_INT2 = 21,
	PG_OID_INT4 = 23,
	PG_OID_TEXT = 25,
	PG_OID_JSON = 114,
	PG_OID_FLOAT8 = 701,
	PG_OID_BPCHAR = 1042,
	PG_OID_VARCHAR = 1043,
	PG_OID_DATE = 1082,
	PG_OID_TIMESTAMPTZ = 1184,
	PG_OID_UUID = 2950,
	PG_OID_JSONB = 3802,
	PG_OID_FIRST_OF_USERS = 16384, /* enums have no fixed number */
};
#define PG_EPOCH_US      946684800000000ULL /* 2000-01-01 in Unix time */
#define PG_EPOCH_DAYS    10957U
#define PG_JSONB_VERSION 1

/* Of an element type, not of an array. */
static inline uint32_t pg_type_oid(enum pg_type type)
{
	static const uint32_t oids[] = {
		[PG_BOOL] = PG_OID_BOOL,
		[PG_INT2] = PG_OID_INT2,
		[PG_INT4] = PG_OID_INT4,
		[PG_INT8] = PG_OID_INT8,
		[PG_FLOAT8] = PG_OID_FLOAT8,
		[PG_TEXT] = PG_OID_TEXT,
		[PG_BYTEA] = PG_OID_BYTEA,
		[PG_UUID] = PG_OID_UUID,
		[PG_DATE] = PG_OID_DATE,
		[PG_JSONB] = PG_OID_JSONB,
		[PG_TIMESTAMPTZ] = PG_OID_TIMESTAMPTZ,
	};

	tl_assert((unsigned)type < sizeof(oids) / sizeof(oids[0]));
	return oids[type];
}

#endif
