/*
 * openapi.c - prints what GET /openapi.json answers, without a daemon.
 *
 * Usage: openapi
 * The dashboard's types are made of it, so that a changed route that the
 * pages use breaks the build and not the pages.
 */
#include <stdio.h>

#include "app/app.h"
#include "codec/doc.h"
#include "http/openapi.h"

int main(void)
{
	struct tl_arena a;
	struct tl_buf b;
	bool written;

	tl_arena_init(&a);
	tl_buf_init(&b);
	doc_write(openapi_make(APP_TABLES, &a), DOC_JSON, &b);
	tl_buf_addc(&b, '\n');
	written =
		fwrite(b.ptr, 1, b.len, stdout) == b.len && fflush(stdout) == 0;
	tl_buf_deinit(&b);
	tl_arena_deinit(&a);
	if (!written)
		perror("openapi");
	return written ? 0 : 1;
}
