/*
 * fuzz_target.c - connection strings of PostgreSQL.
 *
 * The first line is hostaddr, the rest the string, in which a '$' stands for
 * a password.  What is taken has a host and its values; what is refused is
 * refused without a word of the password.
 */
#include <stdlib.h>

#include "pg/pg.h"
#include "pg/pg_target.h"
#include "tests/fuzz/fuzz.h"

#define PASSWORD "Geheim0815"

static void check_target(const struct pg_target *t)
{
	tl_assert(t->n_hosts >= 1);
	tl_assert(t->connect_timeout_ms >= 1000);
	for (uint32_t i = 0; i < t->n_keys; i++) {
		tl_assert(t->keys[i] != NULL && t->values[i] != NULL);
		for (uint32_t k = 0; k < i; k++)
			tl_assert(strcmp(t->keys[i], t->keys[k]) != 0);
	}
	tl_assert(t->keys[t->n_keys] == NULL);
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		const struct pg_host *h = &t->hosts[i];

		tl_assert(h->host == NULL || h->host[0] != '\0');
		tl_assert(h->hostaddr == NULL || h->hostaddr[0] != '\0');
		tl_assert(h->port == NULL || h->port[0] != '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tl_str rest = { (const char *)data, size }, addr = { "", 0 };
	struct tl_buf text;
	struct pg_pool_opts o = { .application_name = "fuzz" };
	char *hostaddr;
	struct pg_target t;
	struct tl_err err;

	(void)tl_str_split(&rest, '\n', &addr);
	hostaddr = tl_strndup(addr.ptr, addr.len);
	tl_buf_init(&text);
	tl_buf_reserve(&text, 1);
	for (size_t i = 0; i < rest.len && rest.ptr[i] != '\0'; i++) {
		if (rest.ptr[i] == '$')
			tl_buf_adds(&text, PASSWORD);
		else
			tl_buf_addc(&text, rest.ptr[i]);
	}
	text.ptr[text.len] = '\0';
	o.way.conninfo = text.ptr;
	o.way.hostaddr = addr.len > 0 ? hostaddr : NULL;
	if (pg_target_init(&t, &o, &err) == TL_OK) {
		check_target(&t);
		pg_target_deinit(&t);
	} else {
		tl_assert(err.text[0] != '\0');
		tl_assert(strstr(err.text, PASSWORD) == NULL);
		tl_assert(strchr(err.text, '\n') == NULL);
	}
	tl_free(hostaddr);
	tl_buf_deinit(&text);
	return 0;
}
