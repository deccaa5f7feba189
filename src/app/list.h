/*
 * list.h - the reply of a list that goes on page by page.
 * Runs in: worker.  Suspends: no.
 */
#ifndef TALLY_APP_LIST_H
#define TALLY_APP_LIST_H

#include <stddef.h>

#include "http/http.h"

/* What a query found: one row more than the page holds says that there is
 * another page. */
struct list {
	const void *rows; /* n of row_bytes */
	size_t row_bytes;
	uint32_t n;
	int64_t limit; /* rows of a page */
	const struct doc *(*view)(struct req *req, const void *row);
	struct http_cursor (*place)(const void *row); /* in the list's order */
};
#define LIST(rows_, n_, limit_, view_, place_)                                 \
	(&(const struct list){ .rows = (rows_),                                \
			       .row_bytes = sizeof(*(rows_)),                  \
			       .n = (n_),                                      \
			       .limit = (limit_),                              \
			       .view = (view_),                                \
			       .place = (place_) })
/* Ends the request: with the page, or by what the query returned. */
void list_reply(struct req *req, const struct list *l, enum tl_status st,
		const struct tl_err *err);

#endif
