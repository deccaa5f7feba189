/*
 * codec_bench.c - what reading and writing a batch of verify items costs.
 *
 * One line per format: us per item of a body of N items (argument, 100) read
 * by doc_parse, of json-c or msgpack-c alone on the same bytes, and of
 * writing one full verify result.  Best of 15 rounds: noise only adds.
 */
#include <json-c/json.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "codec/doc.h"

#define ROUNDS          15
#define ITEMS_PER_ROUND 100000

static uint32_t n_items = 100;
static struct tl_buf body;

static void make_body(enum doc_format f)
{
	struct doc_writer w;
	char key[64];

	tl_buf_reset(&body);
	docw_init(&w, f, &body);
	docw_object(&w, 1);
	docw_name(&w, TL_STR("items"));
	docw_array(&w, n_items);
	for (uint32_t i = 0; i < n_items; i++) {
		(void)snprintf(key, sizeof(key),
			       "codexible_0123456789abcdef0123456789%06x", i);
		docw_object(&w, 1);
		docw_name(&w, TL_STR("key"));
		docw_str(&w, tl_str_c(key));
	}
}

static void parse_ours(enum doc_format f)
{
	const struct doc *d;
	struct tl_arena a;

	tl_arena_init(&a);
	if (doc_parse(&a, f, tl_buf_str(&body), &d, NULL) != TL_OK ||
	    doc_get(d, "items")->n != n_items)
		abort();
	tl_arena_deinit(&a);
}

static void parse_library(enum doc_format f)
{
	static struct json_tokener *tok;

	if (f == DOC_JSON) {
		struct json_object *o;

		if (tok == NULL)
			tok = json_tokener_new_ex(DOC_DEPTH_MAX + 1);
		json_tokener_reset(tok);
		json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
		o = json_tokener_parse_ex(tok, body.ptr, (int)body.len);
		if (o == NULL)
			abort();
		json_object_put(o);
	} else {
		msgpack_unpacked up;
		size_t at = 0;

		msgpack_unpacked_init(&up);
		if (msgpack_unpack_next(&up, body.ptr, body.len, &at) !=
		    MSGPACK_UNPACK_SUCCESS)
			abort();
		msgpack_unpacked_destroy(&up);
	}
}

static void write_result(struct doc_writer *w)
{
	static const char uuid[] = "c0000000-0000-0000-0000-000000000001";

	docw_object(w, 9);
	docw_name(w, TL_STR("valid"));
	docw_bool(w, true);
	docw_name(w, TL_STR("code"));
	docw_str(w, TL_STR("ok"));
	docw_name(w, TL_STR("user_id"));
	docw_str(w, TL_STR(uuid));
	docw_name(w, TL_STR("key_id"));
	docw_str(w, TL_STR(uuid));
	docw_name(w, TL_STR("plan"));
	docw_str(w, TL_STR("Pro"));
	docw_name(w, TL_STR("scopes"));
	docw_array(w, 0);
	docw_name(w, TL_STR("credits"));
	docw_object(w, 4);
	docw_name(w, TL_STR("limit"));
	docw_int(w, 250);
	docw_name(w, TL_STR("used"));
	docw_int(w, 143);
	docw_name(w, TL_STR("remaining"));
	docw_int(w, 107);
	docw_name(w, TL_STR("resets_at"));
	docw_str(w, TL_STR("2026-03-02T00:00:00Z"));
	docw_name(w, TL_STR("rate"));
	docw_array(w, 1);
	docw_object(w, 4);
	docw_name(w, TL_STR("name"));
	docw_str(w, TL_STR("key"));
	docw_name(w, TL_STR("limit"));
	docw_int(w, 100);
	docw_name(w, TL_STR("remaining"));
	docw_int(w, 41);
	docw_name(w, TL_STR("reset_ms"));
	docw_int(w, 52310);
	docw_name(w, TL_STR("request_id"));
	docw_str(w, TL_STR("6f1a2b3c4d5e6f708192a3b4c5d6e7f8"));
}

static void write_results(enum doc_format f)
{
	static struct tl_buf out;
	struct doc_writer w;

	tl_buf_reset(&out);
	docw_init(&w, f, &out);
	docw_object(&w, 1);
	docw_name(&w, TL_STR("results"));
	docw_array(&w, n_items);
	for (uint32_t i = 0; i < n_items; i++)
		write_result(&w);
}

static double best_us(void (*fn)(enum doc_format f), enum doc_format f)
{
	uint32_t times = ITEMS_PER_ROUND / n_items;
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t from = tl_mono_ns(), took;

		for (uint32_t i = 0; i < times; i++)
			fn(f);
		took = tl_mono_ns() - from;
		if (took < best)
			best = took;
	}
	return (double)best / 1000.0 / (double)times / (double)n_items;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "JSON", "MessagePack" };
	static const char *const libs[] = { "json-c", "msgpack-c" };

	if (argc > 1)
		n_items = (uint32_t)strtoul(argv[1], NULL, 10);
	if (n_items < 1 || n_items > 1000) {
		(void)fprintf(stderr, "usage: codec_bench [ITEMS 1..1000]\n");
		return 2;
	}
	tl_buf_init(&body);
	for (int f = DOC_JSON; f <= DOC_MSGPACK; f++) {
		make_body((enum doc_format)f);
		(void)printf("%-11s %u items: parse %.3f us/item (%s alone "
			     "%.3f), write a result %.3f us\n",
			     names[f], n_items,
			     best_us(parse_ours, (enum doc_format)f), libs[f],
			     best_us(parse_library, (enum doc_format)f),
			     best_us(write_results, (enum doc_format)f));
	}
	tl_buf_deinit(&body);
	return 0;
}
