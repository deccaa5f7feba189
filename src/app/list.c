#include "app/list.h"

void list_reply(struct req *req, const struct list *l, enum tl_status st,
		const struct tl_err *err)
{
	const char *row = l->rows;
	struct http_cursor next;
	struct doc *page;
	uint32_t i;

	if (st != TL_OK) {
		req_fail_status(req, st, err);
		return;
	}
	page = doc_array(&req->arena);
	for (i = 0; i < l->n && i < l->limit; i++, row += l->row_bytes) {
		doc_push(&req->arena, page, l->view(req, row));
		next = l->place(row);
	}
	req_reply_list(req, page, i < l->n ? &next : NULL);
}
