/*
 * conf_dump.c - writes a struct conf as a file that conf_load reads back.
 */
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/conf_file.h"
#include "conf/setting.h"

/* Where a long value goes on in the next line, if it can be cut there; the
 * line limit is 190, of which a key and its sign take their part. */
#define COLUMN     120
#define COLUMN_MAX 150

/* At most COLUMN bytes; more only of a value that can not be cut before. */
static size_t cut_at(struct tl_str s)
{
	size_t n = COLUMN;

	if (s.len <= COLUMN)
		return s.len;
	while (n > 0 && !conf_file_may_cut(s, n))
		n--;
	if (n > 0)
		return n;
	for (n = COLUMN; n < COLUMN_MAX && n < s.len; n++)
		if (conf_file_may_cut(s, n))
			break;
	return n;
}

static void write_value(const char *key, struct tl_str value, FILE *out)
{
	fprintf(out, "%s =", key);
	if (value.len > 0)
		fputc(' ', out);
	while (value.len > 0) {
		size_t n = cut_at(value);

		fwrite(value.ptr, 1, n, out);
		value.ptr += n;
		value.len -= n;
		if (value.len > 0)
			fputs("\\\n\t", out);
	}
	fputc('\n', out);
}

static void add_usd(uint64_t nano, struct tl_buf *out)
{
	tl_buf_addf(out, "%llu.%09llu", (unsigned long long)(nano / 1000000000),
		    (unsigned long long)(nano % 1000000000));
}

const char *conf_model(const struct conf *conf, uint32_t i, struct tl_buf *out)
{
	const struct tally_cost_table *t = &conf->cost;

	if (i >= t->n_models)
		return NULL;
	add_usd(t->models[i].rate.prompt_nano_per_1k, out);
	tl_buf_addc(out, ',');
	add_usd(t->models[i].rate.completion_nano_per_1k, out);
	return t->models[i].name;
}

static void write_origin(const struct conf *conf, struct conf_origin o,
			 FILE *out)
{
	if (o.from == CONF_FROM_FILE)
		fprintf(out, "; %s:%u\n", conf->file, o.line);
	else if (o.from == CONF_FROM_ENVIRONMENT)
		fputs("; environment\n", out);
	else if (o.from == CONF_FROM_OPTION)
		fputs("; -o\n", out);
}

void conf_dump(const struct conf *conf, bool origins, FILE *out)
{
	const char *section = "", *model;
	struct tl_buf text;

	tl_buf_init(&text);
	for (const struct setting *s = SETTINGS; s->section != NULL; s++) {
		if (strcmp(section, s->section) != 0)
			fprintf(out, "%s[%s]\n", section[0] != '\0' ? "\n" : "",
				s->section);
		section = s->section;
		if (origins)
			write_origin(conf, conf->origins[s - SETTINGS], out);
		tl_buf_reset(&text);
		setting_format(s, conf, &text);
		write_value(s->key, tl_buf_str(&text), out);
	}
	if (conf->cost.n_models > 0)
		fputs("\n[cost.models]\n", out);
	for (uint32_t i = 0; i < conf->cost.n_models; i++) {
		tl_buf_reset(&text);
		model = conf_model(conf, i, &text);
		fprintf(out, "%s = %s\n", model, text.ptr);
	}
	tl_buf_deinit(&text);
}
