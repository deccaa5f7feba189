/*
 * fuzz_json.c - JSON in and out.
 *
 * It is taken exactly when json_strict.c takes it; the tree keeps to doc.h
 * and survives being written and read, as JSON and as MessagePack.
 */
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tl_str in = { (const char *)data, size };
	const struct doc *d;
	struct tl_arena a;
	struct tl_err err;
	bool taken;

	if (size > INPUT_MAX)
		return -1;
	tl_arena_init(&a);
	taken = doc_parse(&a, DOC_JSON, in, &d, &err) == TL_OK;
	tl_assert(taken == json_strict(in));
	if (taken) {
		doc_holds(d, 0);
		doc_survives(d);
	}
	tl_arena_deinit(&a);
	return 0;
}
