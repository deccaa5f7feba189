/*
 * setting.h - the table of settings and what one row can do; inside conf/.
 *
 * A row knows its place in struct conf, so reading, writing, comparing and
 * documenting are written once per type.
 */
#ifndef TALLY_CONF_SETTING_H
#define TALLY_CONF_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct conf;

enum setting_type {
	SETTING_BOOL,
	SETTING_U32,
	SETTING_CPUS,    /* uint32_t, or the word auto */
	SETTING_ENUM,    /* an enum of ours, stored as such */
	SETTING_STRING,  /* char *, never NULL */
	SETTING_STRINGS, /* struct conf_strings */
	SETTING_CIDRS,   /* struct tally_cidr_list */
	SETTING_USD,     /* uint64_t, nano-USD */
};

/* Says what is wrong with a text and what to do. */
typedef enum tl_status (*setting_check_fn)(struct tl_str s, struct tl_err *err);

struct setting {
	const char *section, *key;
	enum setting_type type;
	size_t offset; /* in struct conf */
	const char *def;
	uint32_t min, max;        /* SETTING_U32 */
	const char *const *words; /* SETTING_ENUM, ends with NULL */
	setting_check_fn check;   /* of the string, or of each item */
	bool lower_case;          /* SETTING_STRINGS */
	bool reloadable;
	const char *name;  /* "server.listen" */
	const char *range; /* for people: "1 to 64" */
	const char *doc;
};

extern const struct setting SETTINGS[]; /* ends with .section NULL */
#define SETTINGS_MAX 128                /* at least as many as there are */

const struct setting *setting_find(struct tl_str section, struct tl_str key);
bool setting_section_known(struct tl_str section);

/* Frees what was there; on failure the old value stays. */
enum tl_status setting_parse(const struct setting *s, struct conf *conf,
			     struct tl_str text,
			     struct tl_err *err) TL_MUST_CHECK;
/* Adds the value as the file would have it. */
void setting_format(const struct setting *s, const struct conf *conf,
		    struct tl_buf *out);
void setting_free(const struct setting *s, struct conf *conf);

/* Checks of single values; setting_check.c. */
enum tl_status setting_check_listen(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_pair(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_path(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_url(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_ratio(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_word(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_header(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_log_target(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_state_dir(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_instance(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_origin(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_hostaddr(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_user(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_group(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_brand(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_email(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_token(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_port(struct tl_str s, struct tl_err *err);
enum tl_status setting_check_nameserver(struct tl_str s, struct tl_err *err);

#endif
