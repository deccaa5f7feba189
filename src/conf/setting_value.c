/*
 * setting_value.c - reading, writing and freeing the values of setting.h.
 */
#include "conf/setting.h"

#include <unistd.h>

#include "base/mem.h"
#include "conf/conf.h"

#define ITEMS_MAX 256
#define TEXT_MAX  4096

static void *at(const struct setting *s, struct conf *conf)
{
	return (char *)conf + s->offset;
}

static const void *at_const(const struct setting *s, const struct conf *conf)
{
	return (const char *)conf + s->offset;
}

static enum tl_status parse_bool(bool *v, struct tl_str text,
				 struct tl_err *err)
{
	static const char *const words[] = { "no",  "false", "off", "0",
					     "yes", "true",  "on",  "1" };

	for (size_t i = 0; i < 8; i++) {
		if (tl_str_ieq(text, tl_str_c(words[i]))) {
			*v = i >= 4;
			return TL_OK;
		}
	}
	return tl_err_set(err, TL_INVALID,
			  "'%.*s' is neither yes nor no; give one of them",
			  (int)text.len, text.ptr);
}

static enum tl_status parse_u32(const struct setting *s, uint32_t *v,
				struct tl_str text, struct tl_err *err)
{
	uint64_t n;

	if (tl_parse_u64(text, s->min, s->max, &n)) {
		*v = (uint32_t)n;
		return TL_OK;
	}
	return tl_err_set(err, TL_INVALID, "'%.*s' is %s; give %s",
			  (int)text.len, text.ptr,
			  tl_parse_u64(text, 0, UINT64_MAX, &n)
				  ? "out of range"
				  : "not a number",
			  s->range);
}

static enum tl_status parse_cpus(const struct setting *s, uint32_t *v,
				 struct tl_str text, struct tl_err *err)
{
	long n;

	if (!tl_str_ieq(text, TL_STR("auto")))
		return parse_u32(s, v, text, err);
	n = sysconf(_SC_NPROCESSORS_ONLN);
	if (n < (long)s->min)
		n = (long)s->min;
	*v = n > (long)s->max ? s->max : (uint32_t)n;
	return TL_OK;
}

static enum tl_status parse_enum(const struct setting *s, int *v,
				 struct tl_str text, struct tl_err *err)
{
	for (int i = 0; s->words[i] != NULL; i++) {
		if (tl_str_ieq(text, tl_str_c(s->words[i]))) {
			*v = i;
			return TL_OK;
		}
	}
	return tl_err_set(err, TL_INVALID, "'%.*s' is unknown; give %s",
			  (int)text.len, text.ptr, s->range);
}

static enum tl_status parse_string(const struct setting *s, char **v,
				   struct tl_str text, struct tl_err *err)
{
	enum tl_status st = TL_OK;

	if (s->check != NULL)
		st = s->check(text, err);
	if (st != TL_OK)
		return st;
	tl_free(*v);
	*v = tl_strndup(text.ptr, text.len);
	return TL_OK;
}

static void free_strings(struct conf_strings *v)
{
	for (size_t i = 0; i < v->n; i++)
		tl_free(v->items[i]);
	tl_freep(&v->items);
	v->n = 0;
}

/* The next item of a comma list; empty ones are passed over. */
static bool next_item(struct tl_str *rest, struct tl_str *item_r)
{
	while (tl_str_split(rest, ',', item_r)) {
		*item_r = tl_str_trim(*item_r);
		if (item_r->len > 0)
			return true;
	}
	return false;
}

static size_t count_items(struct tl_str text)
{
	struct tl_str item;
	size_t n = 0;

	while (next_item(&text, &item))
		n++;
	return n;
}

static enum tl_status fill_strings(const struct setting *s,
				   struct conf_strings *v, struct tl_str text,
				   struct tl_err *err)
{
	enum tl_status st = TL_OK;
	struct tl_str item;

	while (st == TL_OK && next_item(&text, &item)) {
		char *copy;

		/* a dump has a blank in front of it */
		if (item.ptr[0] == ';')
			return tl_err_set(err, TL_INVALID,
					  "'%.*s' would begin a comment; "
					  "remove its ';'",
					  (int)item.len, item.ptr);
		copy = tl_strndup(item.ptr, item.len);
		v->items[v->n++] = copy;
		for (char *c = copy; s->lower_case && *c != '\0'; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c + ('a' - 'A'));
		st = s->check(tl_str_c(copy), err);
	}
	return st;
}

static enum tl_status parse_strings(const struct setting *s,
				    struct conf_strings *v, struct tl_str text,
				    struct tl_err *err)
{
	struct conf_strings made = { NULL, 0 };
	enum tl_status st;

	made.items = tl_alloc_array(count_items(text), sizeof(*made.items));
	st = fill_strings(s, &made, text, err);
	if (st != TL_OK) {
		free_strings(&made);
		return st;
	}
	free_strings(v);
	*v = made;
	return TL_OK;
}

static enum tl_status parse_cidrs(struct tally_cidr_list *v, struct tl_str text,
				  struct tl_err *err)
{
	struct tally_cidr_list made = { NULL, 0 };
	enum tl_status st = TL_OK;
	struct tl_str item;

	made.items = tl_alloc_array(count_items(text), sizeof(*made.items));
	while (st == TL_OK && next_item(&text, &item))
		st = tally_cidr_parse(item, &made.items[made.n++], err);
	if (st != TL_OK) {
		tally_cidr_list_deinit(&made);
		return st;
	}
	tally_cidr_list_deinit(v);
	*v = made;
	return TL_OK;
}

static enum tl_status parse_usd(const struct setting *s, uint64_t *v,
				struct tl_str text, struct tl_err *err)
{
	if (tally_cost_parse_usd(text, v))
		return TL_OK;
	return tl_err_set(err, TL_INVALID,
			  "'%.*s' is no amount of USD; give %s", (int)text.len,
			  text.ptr, s->range);
}

enum tl_status setting_parse(const struct setting *s, struct conf *conf,
			     struct tl_str text, struct tl_err *err)
{
	void *v = at(s, conf);

	if (text.len > TEXT_MAX)
		return tl_err_set(err, TL_INVALID,
				  "the value has %zu bytes; give at most %d",
				  text.len, TEXT_MAX);
	if (count_items(text) > ITEMS_MAX)
		return tl_err_set(err, TL_INVALID,
				  "the list is too long; give at most %d items",
				  ITEMS_MAX);
	switch (s->type) {
	case SETTING_BOOL:
		return parse_bool(v, text, err);
	case SETTING_U32:
		return parse_u32(s, v, text, err);
	case SETTING_CPUS:
		return parse_cpus(s, v, text, err);
	case SETTING_ENUM:
		return parse_enum(s, v, text, err);
	case SETTING_STRING:
		return parse_string(s, v, text, err);
	case SETTING_STRINGS:
		return parse_strings(s, v, text, err);
	case SETTING_CIDRS:
		return parse_cidrs(v, text, err);
	case SETTING_USD:
		return parse_usd(s, v, text, err);
	}
	return tl_err_set(err, TL_BROKEN, "a row of no type");
}

/* Nano-USD as "0.03"; all nine decimals if need be. */
static void format_usd(uint64_t nano, struct tl_buf *out)
{
	uint64_t part = nano % 1000000000;

	tl_buf_addu(out, nano / 1000000000);
	if (part == 0)
		return;
	tl_buf_addf(out, ".%09llu", (unsigned long long)part);
	while (out->ptr[out->len - 1] == '0')
		out->ptr[--out->len] = '\0';
}

static void format_cidrs(const struct tally_cidr_list *l, struct tl_buf *out)
{
	char text[TALLY_ADDR_TEXT + 4];

	for (uint32_t i = 0; i < l->n; i++) {
		tally_cidr_format(&l->items[i], text);
		tl_buf_adds(out, i > 0 ? ", " : "");
		tl_buf_adds(out, text);
	}
}

static void format_strings(const struct conf_strings *l, struct tl_buf *out)
{
	for (size_t i = 0; i < l->n; i++) {
		tl_buf_adds(out, i > 0 ? ", " : "");
		tl_buf_adds(out, l->items[i]);
	}
}

void setting_format(const struct setting *s, const struct conf *conf,
		    struct tl_buf *out)
{
	const void *v = at_const(s, conf);

	switch (s->type) {
	case SETTING_BOOL:
		tl_buf_adds(out, *(const bool *)v ? "yes" : "no");
		break;
	case SETTING_U32:
	case SETTING_CPUS:
		tl_buf_addu(out, *(const uint32_t *)v);
		break;
	case SETTING_ENUM:
		tl_buf_adds(out, s->words[*(const int *)v]);
		break;
	case SETTING_STRING:
		tl_buf_adds(out, *(char *const *)v);
		break;
	case SETTING_STRINGS:
		format_strings(v, out);
		break;
	case SETTING_CIDRS:
		format_cidrs(v, out);
		break;
	case SETTING_USD:
		format_usd(*(const uint64_t *)v, out);
		break;
	}
}

void setting_free(const struct setting *s, struct conf *conf)
{
	void *v = at(s, conf);

	if (s->type == SETTING_STRING)
		tl_freep((char **)v);
	else if (s->type == SETTING_STRINGS)
		free_strings(v);
	else if (s->type == SETTING_CIDRS)
		tally_cidr_list_deinit(v);
}
