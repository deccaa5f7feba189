/*
 * test_http_static.c - files for browsers, and the description: what is
 * served, with which headers, and that nothing else is.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "http_rig.h"

#define LARGE_BYTES  (8u << 20)
#define SLOW_CLIENTS 30
#define GROWTH_MAX_K (64u << 10) /* copies would be 240 MiB */

static struct rig rig;
static char dir[] = "/tmp/tally-static.XXXXXX";

static void write_file(const char *name, const char *bytes, size_t len)
{
	char path[100];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
	(void)fclose(f);
}

static void make_directory(const char *name)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void setup(void)
{
	char *large = malloc(LARGE_BYTES), link[100];

	for (size_t i = 0; i < LARGE_BYTES; i++)
		large[i] = (char)('a' + i % 23);
	(void)snprintf(dir, sizeof(dir), "/tmp/tally-static.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	make_directory("pages");
	make_directory("pages/sub");
	write_file("secret.html", "secret", 6);
	write_file("pages/.hidden", "secret", 6);
	write_file("pages/sub/file.html", "secret", 6);
	write_file("pages/index.html", "<p>hello", 8);
	write_file("pages/script.js", "1", 1);
	write_file("pages/data", "x", 1);
	write_file("pages/empty.css", "", 0);
	write_file("pages/large.js", large, LARGE_BYTES);
	make_directory("pages/hashed");
	write_file("pages/both.css", "plain", 5);
	write_file("pages/both.css.gz", "gzip", 4);
	write_file("pages/both.css.br", "brotli", 6);
	write_file("pages/alone.svg.gz", "alone", 5);
	write_file("pages/hashed/app-1a2b.js", "app", 3);
	write_file("pages/hashed/app-1a2b.js.gz", "app.gz", 6);
	(void)snprintf(link, sizeof(link), "%s/pages/link.html", dir);
	ck_assert_int_eq(symlink("../secret.html", link), 0);
	free(large);
	ck_assert_int_eq(setenv("TALLY_WEBDIR", dir, 1), 0);
	rig_start(&rig, NULL, 0);
}

static void teardown(void)
{
	char *rm = tl_asprintf("rm -rf '%s'", dir);

	rig_stop(&rig);
	ck_assert_int_eq(system(rm), 0);
	tl_free(rm);
}

/* headers: of the request, each with its line end. */
static char *ask(const char *method, const char *target, const char *headers)
{
	char *rq = tl_asprintf("%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method,
			       target, headers);
	int fd = rig_connect(&rig);
	char *text;

	rig_send(fd, rq, strlen(rq));
	text = rig_read_one(fd, strcmp(method, "HEAD") == 0 ||
					strstr(headers, "If-None") != NULL);
	close(fd);
	tl_free(rq);
	return text;
}

static void assert_has(const char *text, const char *line)
{
	ck_assert_msg(strstr(text, line) != NULL, "no '%s' in\n%.600s", line,
		      text);
}

static const struct {
	const char *target, *type, *body;
} files[] = {
	{ "/pages/index.html", "text/html; charset=utf-8", "<p>hello" },
	{ "/pages/script.js", "text/javascript; charset=utf-8", "1" },
	{ "/pages/data", "application/octet-stream", "x" },
	{ "/pages/empty.css", "text/css; charset=utf-8", "" },
};

START_TEST(a_file_comes_with_its_type_and_the_headers_of_a_page)
{
	char *text = ask("GET", files[_i].target, "");
	char *type = tl_asprintf("\r\nContent-Type: %s\r\n", files[_i].type);

	assert_has(text, "HTTP/1.1 200 OK\r\n");
	if (files[_i].body[0] != '\0')
		assert_has(text, type);
	assert_has(text, "\r\nContent-Security-Policy: default-src 'self';");
	assert_has(text, "frame-ancestors 'none'\r\n");
	assert_has(text, "\r\nX-Content-Type-Options: nosniff\r\n");
	assert_has(text, "\r\nX-Frame-Options: DENY\r\n");
	assert_has(text, "\r\nReferrer-Policy: no-referrer\r\n");
	assert_has(text, "\r\nCache-Control: no-cache\r\n");
	assert_has(text, "\r\nETag: \"");
	ck_assert_ptr_null(strstr(text, "unsafe"));
	ck_assert_str_eq(strstr(text, "\r\n\r\n") + 4, files[_i].body);
	tl_free(type);
	free(text);
}
END_TEST

static const char *const with_etags[] = { "/pages/index.html",
					  "/openapi.json" };

START_TEST(what_the_client_has_is_not_sent_again)
{
	char *first = ask("GET", with_etags[_i], "");
	char *etag = strstr(first, "\r\nETag: ") + 8, *given, *again;

	given = tl_asprintf("If-None-Match: %.*s\r\n", (int)strcspn(etag, "\r"),
			    etag);
	again = ask("GET", with_etags[_i], given);
	assert_has(again, "HTTP/1.1 304 ");
	ck_assert_ptr_null(strstr(again, "Content-Length"));
	free(again);

	again = ask("HEAD", with_etags[_i], "");
	assert_has(again, "HTTP/1.1 200 ");
	ck_assert_str_eq(strstr(again, "\r\n\r\n"), "\r\n\r\n");
	free(again);
	tl_free(given);
	free(first);
}
END_TEST

static const char *const elsewhere[] = {
	"/pages/none.html",
	"/pages/..",
	"/pages/../secret.html",
	"/pages/..%2fsecret.html",
	"/pages/%2e%2e%2fsecret.html",
	"/pages/%2e%2e/secret.html",
	"/pages/.hidden",
	"/pages/link.html",
	"/pages/sub",
	"/pages/sub/file.html",
	"/pages/sub%2ffile.html",
	"/pages/both.css.gz",
	"/pages/both.css.br",
	"/pages/hashed",
	"/pages/index.html%00.js",
	"/pages/",
	"/none/index.html",
	"/none/../secret.html",
};

START_TEST(nothing_else_is_served)
{
	char *text = ask("GET", elsewhere[_i], "");

	ck_assert_msg(strncmp(text, "HTTP/1.1 404 ", 13) == 0 ||
			      strncmp(text, "HTTP/1.1 400 ", 13) == 0,
		      "%s", text);
	ck_assert_ptr_null(strstr(text, "secret"));
	assert_has(text, "{\"error\":{\"code\":");
	free(text);
}
END_TEST

START_TEST(pages_that_were_not_installed_say_so)
{
	char *text = ask("GET", "/none/index.html", "");

	assert_has(text, "HTTP/1.1 404 ");
	assert_has(text, "none here");
	free(text);
}
END_TEST

/* ---- compressed forms ---- */

/* accept: NULL, no such header; body NULL: 406. */
static const struct {
	const char *accept, *coding, *body;
} forms[] = {
	{ NULL, NULL, "plain" },
	{ "", NULL, "plain" },
	{ "identity", NULL, "plain" },
	{ "gzip", "gzip", "gzip" },
	{ "x-gzip", "gzip", "gzip" },
	{ "GZIP", "gzip", "gzip" },
	{ "gzip, deflate, br", "br", "brotli" },
	{ "br,gzip", "br", "brotli" },
	{ "*", "br", "brotli" },
	{ "br;q=0.5, gzip;q=0.8", "gzip", "gzip" },
	{ "br ; q=0.5 , gzip ; q=0.499", "br", "brotli" },
	{ "gzip;q=0.001", "gzip", "gzip" },
	{ "gzip;q=0.5, identity;q=0.9", NULL, "plain" },
	{ "br;q=0, *;q=0.1", "gzip", "gzip" },
	{ "br;q=0, gzip;q=0", NULL, "plain" },
	{ "deflate, zstd", NULL, "plain" },
	{ "identity;q=0, gzip", "gzip", "gzip" },
	{ "*;q=0, gzip", "gzip", "gzip" },
	{ "*;q=0, identity", NULL, "plain" },
	{ ", ,", NULL, "plain" },
	{ "identity;q=0", NULL, NULL },
	{ "identity;q=0, zstd", NULL, NULL },
	{ "*;q=0", NULL, NULL },
};

START_TEST(the_form_that_the_client_likes_best_is_sent)
{
	char *header = forms[_i].accept != NULL
			       ? tl_asprintf("Accept-Encoding: %s\r\n",
					     forms[_i].accept)
			       : tl_strdup("");
	char *text = ask("GET", "/pages/both.css", header), *line;

	assert_has(text, "\r\nVary: Accept-Encoding\r\n");
	if (forms[_i].body == NULL) {
		assert_has(text, "HTTP/1.1 406 ");
		assert_has(text, "{\"error\":{\"code\":\"not_acceptable\"");
	} else {
		assert_has(text, "HTTP/1.1 200 ");
		assert_has(text, "\r\nContent-Type: text/css;");
		ck_assert_str_eq(strstr(text, "\r\n\r\n") + 4, forms[_i].body);
	}
	line = tl_asprintf("\r\nContent-Encoding: %s\r\n",
			   forms[_i].coding != NULL ? forms[_i].coding : "");
	if (forms[_i].coding != NULL)
		assert_has(text, line);
	else
		ck_assert_ptr_null(strstr(text, "Content-Encoding"));
	tl_free(line);
	tl_free(header);
	free(text);
}
END_TEST

/* A cache must not take one form for another. */
START_TEST(each_form_has_its_own_etag)
{
	static const char *const accepts[] = { "Accept-Encoding: br\r\n",
					       "Accept-Encoding: gzip\r\n",
					       "" };
	char *etags[3], *given, *again;

	for (int i = 0; i < 3; i++) {
		char *text = ask("GET", "/pages/both.css", accepts[i]);
		const char *at = strstr(text, "\r\nETag: ") + 8;

		etags[i] = tl_asprintf("%.*s", (int)strcspn(at, "\r"), at);
		free(text);
	}
	ck_assert_str_ne(etags[0], etags[1]);
	ck_assert_str_ne(etags[1], etags[2]);
	given = tl_asprintf("%sIf-None-Match: %s\r\n", accepts[0], etags[0]);
	again = ask("GET", "/pages/both.css", given);
	assert_has(again, "HTTP/1.1 304 ");
	assert_has(again, "\r\nVary: Accept-Encoding\r\n");
	free(again);
	again = ask("HEAD", "/pages/both.css", accepts[0]);
	assert_has(again, "\r\nContent-Encoding: br\r\n");
	assert_has(again, "\r\nContent-Length: 6\r\n");
	free(again);
	tl_free(given);
	for (int i = 0; i < 3; i++)
		tl_free(etags[i]);
}
END_TEST

START_TEST(what_has_its_hash_in_its_name_is_kept_for_a_year)
{
	char *text =
		ask("GET", "/hashed/app-1a2b.js", "Accept-Encoding: gzip\r\n");

	assert_has(text, "\r\nCache-Control: public, max-age=31536000, "
			 "immutable\r\n");
	assert_has(text, "\r\nContent-Encoding: gzip\r\n");
	assert_has(text, "\r\nETag: \"");
	assert_has(text, "\r\nContent-Security-Policy: ");
	free(text);
	text = ask("GET", "/hashed/app-9999.js", "");
	assert_has(text, "HTTP/1.1 404 ");
	ck_assert_ptr_null(strstr(text, "max-age"));
	free(text);
}
END_TEST

START_TEST(a_compressed_file_without_its_plain_one_is_a_file)
{
	char *text =
		ask("GET", "/pages/alone.svg.gz", "Accept-Encoding: gzip\r\n");

	assert_has(text, "HTTP/1.1 200 ");
	ck_assert_ptr_null(strstr(text, "Content-Encoding"));
	free(text);
}
END_TEST

static unsigned resident_kib(void)
{
	char path[40];
	unsigned size = 0, resident = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)rig.pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%u %u", &size, &resident), 2);
	(void)fclose(f);
	return resident * (unsigned)(sysconf(_SC_PAGESIZE) / 1024);
}

/* The head has come, so the body was handed to libevent. */
static int ask_and_read_the_head(int window_bytes)
{
	static const char rq[] =
		"GET /pages/large.js HTTP/1.1\r\nHost: a\r\n\r\n";
	int fd = rig_connect(&rig);
	char byte, last[4] = "";

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window_bytes,
			 sizeof(window_bytes));
	rig_send(fd, rq, sizeof(rq) - 1);
	while (memcmp(last, "\r\n\r\n", 4) != 0) {
		ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
		memmove(last, last + 1, 3);
		last[3] = byte;
	}
	return fd;
}

START_TEST(slow_readers_hold_no_copies_and_get_all_of_it)
{
	int fds[SLOW_CLIENTS];
	unsigned before;
	size_t at = 0, wrong = 0;
	static char chunk[65536];
	ssize_t n;

	free(ask("HEAD", "/pages/large.js", "")); /* it is read now */
	before = resident_kib();
	for (int i = 0; i < SLOW_CLIENTS; i++)
		fds[i] = ask_and_read_the_head(i == 0 ? 1 << 20 : 4096);

	ck_assert_uint_lt(resident_kib(), before + GROWTH_MAX_K);
	while (at < LARGE_BYTES &&
	       (n = recv(fds[0], chunk, sizeof(chunk), 0)) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			wrong += chunk[i] != (char)('a' + at % 23);
	ck_assert_uint_eq(at, LARGE_BYTES);
	ck_assert_uint_eq(wrong, 0);
	for (int i = 0; i < SLOW_CLIENTS; i++)
		close(fds[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_static");
	TCase *c = tcase_create("files");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(
		c, a_file_comes_with_its_type_and_the_headers_of_a_page, 0,
		(int)(sizeof(files) / sizeof(files[0])));
	tcase_add_loop_test(c, what_the_client_has_is_not_sent_again, 0, 2);
	tcase_add_loop_test(c, nothing_else_is_served, 0,
			    (int)(sizeof(elsewhere) / sizeof(elsewhere[0])));
	tcase_add_test(c, pages_that_were_not_installed_say_so);
	tcase_add_loop_test(c, the_form_that_the_client_likes_best_is_sent, 0,
			    (int)(sizeof(forms) / sizeof(forms[0])));
	tcase_add_test(c, each_form_has_its_own_etag);
	tcase_add_test(c, what_has_its_hash_in_its_name_is_kept_for_a_year);
	tcase_add_test(c, a_compressed_file_without_its_plain_one_is_a_file);
	tcase_add_test(c, slow_readers_hold_no_copies_and_get_all_of_it);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
