/*
 * static.c - files for browsers, from memory.
 *
 * A directory is read whole at its first request: a release brings its files
 * once, and a reload starts new workers.  Names are looked up among those that
 * were found, so there is no path that could climb out.
 *
 * NAME.gz and NAME.br beside NAME are the same file as a build has compressed
 * it: they have no name of their own here, and go to whom takes them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/paths.h"
#include "http/http_internal.h"

/* Each worker has its own copy, so a directory that is none of ours must not
 * take the machine's memory. */
#define FILE_MAX_BYTES (16 * 1024 * 1024)
#define DIR_MAX_BYTES  (64 * 1024 * 1024)
#define CACHE_PAGE     "no-cache"
#define CACHE_HASHED   "public, max-age=31536000, immutable"

enum { PLAIN, GZIP, BROTLI, CODINGS }; /* of equals the last one is taken */
static const struct {
	const char *name, *alias, *end;
} codings[CODINGS] = {
	[PLAIN] = { "identity", NULL, "" },
	[GZIP] = { "gzip", "x-gzip", ".gz" },
	[BROTLI] = { "br", NULL, ".br" },
};

struct file {
	char *name;
	struct http_kept *kept[CODINGS]; /* NULL: not in that one */
	struct file *next;
};
struct http_static {
	const char *dir; /* "docs" */
	struct file *files;
	size_t bytes;
	struct http_static *next;
};

static const char *type_of(const char *name)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".json", "application/json" },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".woff2", "font/woff2" },
	};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]);
	     i++)
		if (strcmp(dot, types[i].end) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static void kept_free(struct http_kept *k)
{
	if (k == NULL)
		return;
	tl_buf_deinit(&k->bytes);
	tl_free(k);
}

static void file_free(struct file *f)
{
	for (int i = 0; i < CODINGS; i++)
		kept_free(f->kept[i]);
	tl_free(f->name);
	tl_free(f);
}

static bool read_whole(int fd, struct tl_buf *b)
{
	struct stat sb;
	ssize_t n = 1;

	if (fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode) ||
	    sb.st_size > FILE_MAX_BYTES)
		return false;
	tl_buf_reserve(b, (size_t)sb.st_size);
	while (b->len < (size_t)sb.st_size && n > 0) {
		n = read(fd, b->ptr + b->len, (size_t)sb.st_size - b->len);
		if (n > 0)
			b->len += (size_t)n;
	}
	return b->len == (size_t)sb.st_size;
}

/* NULL: it is no plain file, or cannot be read. */
static struct file *file_read(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct http_kept *k;
	struct file *f;
	bool whole;

	if (fd < 0)
		return NULL;
	k = tl_alloc(sizeof(*k));
	tl_buf_init(&k->bytes);
	whole = read_whole(fd, &k->bytes);
	(void)close(fd);
	if (!whole) {
		kept_free(k);
		return NULL;
	}
	http_kept_seal(k);
	f = tl_alloc(sizeof(*f));
	f->name = tl_strdup(name);
	f->kept[PLAIN] = k;
	return f;
}

static struct file *file_find(const struct http_static *s, struct tl_str name)
{
	struct file *f = s->files;

	while (f != NULL && !tl_str_eq(name, tl_str_c(f->name)))
		f = f->next;
	return f;
}

/* The file that f is a compressed form of; *coding_r which one. */
static struct file *plain_of(const struct http_static *s, const struct file *f,
			     int *coding_r)
{
	size_t len = strlen(f->name);

	for (int i = PLAIN + 1; i < CODINGS; i++) {
		size_t end = strlen(codings[i].end);

		if (len <= end ||
		    strcmp(f->name + len - end, codings[i].end) != 0)
			continue;
		*coding_r = i;
		return file_find(s, (struct tl_str){ f->name, len - end });
	}
	return NULL;
}

static void pair_forms(struct http_static *s)
{
	struct file **at = &s->files;
	int coding;

	while (*at != NULL) {
		struct file *f = *at, *plain = plain_of(s, f, &coding);

		if (plain == NULL) {
			at = &f->next;
			continue;
		}
		plain->kept[coding] = f->kept[PLAIN];
		f->kept[PLAIN] = NULL;
		*at = f->next;
		file_free(f);
	}
}

static void read_files(struct http_static *s, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	struct file *f;

	if (dir == NULL) {
		if (errno != ENOENT) /* that is how it was configured */
			log_warn("open directory '%s': %s; its pages are not "
				 "served",
				 path, strerror(errno));
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		f = e->d_name[0] != '.' ? file_read(dirfd(dir), e->d_name)
					: NULL;
		if (f == NULL)
			continue;
		s->bytes += f->kept[PLAIN]->bytes.len;
		if (s->bytes > DIR_MAX_BYTES) {
			log_warn("directory '%s' has more than %d MiB; not all "
				 "of it is served",
				 path, DIR_MAX_BYTES / (1024 * 1024));
			file_free(f);
			break;
		}
		f->next = s->files;
		s->files = f;
	}
	(void)closedir(dir);
	pair_forms(s);
}

static const struct http_static *directory(struct http *h, const char *dir)
{
	struct http_static *s = h->statics;
	char *path;

	while (s != NULL && strcmp(s->dir, dir) != 0)
		s = s->next;
	if (s != NULL)
		return s;
	s = tl_alloc(sizeof(*s));
	s->dir = dir;
	path = tl_asprintf("%s/%s", tl_webdir(), dir);
	read_files(s, path);
	tl_free(path);
	s->next = h->statics;
	h->statics = s;
	return s;
}

void http_static_deinit(struct http *h)
{
	while (h->statics != NULL) {
		struct http_static *s = h->statics;

		h->statics = s->next;
		while (s->files != NULL) {
			struct file *f = s->files;

			s->files = f->next;
			file_free(f);
		}
		tl_free(s);
	}
}

/* ---- which form ---- */

/* How much the client likes each (RFC 9110, 12.5.3), 0: not at all.  What it
 * does not name it takes plain, if need be. */
static void read_wishes(struct tl_str accept, unsigned weight[CODINGS])
{
	unsigned others = 0;
	bool named[CODINGS] = { false }, star = false;
	struct tl_str range, name;

	while (accept.len > 0 && tl_str_split(&accept, ',', &range)) {
		if (!tl_str_split(&range, ';', &name))
			continue;
		name = tl_str_trim(name);
		if (tl_str_eq(name, TL_STR("*"))) {
			star = true;
			others = http_weight_of(range);
		}
		for (int i = 0; i < CODINGS; i++) {
			if (name.len == 0 ||
			    (!tl_str_ieq(name, tl_str_c(codings[i].name)) &&
			     !tl_str_ieq(name, tl_str_c(codings[i].alias))))
				continue;
			named[i] = true;
			weight[i] = http_weight_of(range);
		}
	}
	for (int i = 0; i < CODINGS; i++)
		if (!named[i])
			weight[i] = i == PLAIN && !star ? 1 : others;
}

/* CODINGS: none that the client takes. */
static int choose_form(const struct file *f, struct tl_str accept)
{
	unsigned weight[CODINGS], best = 0;
	int chosen = CODINGS;

	if (accept.ptr == NULL)
		return PLAIN;
	read_wishes(accept, weight);
	for (int i = 0; i < CODINGS; i++) {
		if (f->kept[i] == NULL || weight[i] == 0 || weight[i] < best)
			continue;
		best = weight[i];
		chosen = i;
	}
	return chosen;
}

static void reply_file(struct req *req, const struct http_files *files,
		       const struct file *f)
{
	int form = choose_form(f, req_header(req, "Accept-Encoding"));

	if (f->kept[GZIP] != NULL || f->kept[BROTLI] != NULL)
		req_header_add(req, "Vary", "Accept-Encoding");
	if (form == CODINGS) {
		req_fail(req, 406, "not_acceptable",
			 "Accept-Encoding refuses all that this file is kept "
			 "in; leave identity in");
		return;
	}
	if (form != PLAIN)
		req_header_add(req, "Content-Encoding", "%s",
			       codings[form].name);
	req_header_add(req, "Content-Type", "%s", type_of(f->name));
	req_header_add(req, "Content-Security-Policy", "%s", files->policy);
	req_header_add(req, "X-Frame-Options", "DENY");
	req_header_add(req, "Referrer-Policy", "no-referrer");
	http_reply_kept(req, f->kept[form],
			files->hashed ? CACHE_HASHED : CACHE_PAGE);
}

bool req_has_files(struct req *req, const struct http_files *files)
{
	return directory(req->http, files->dir)->files != NULL;
}

void req_reply_file(struct req *req, const struct http_files *files,
		    struct tl_str name)
{
	const struct http_static *s = directory(req->http, files->dir);
	const struct file *f = file_find(s, name);

	if (f != NULL)
		reply_file(req, files, f);
	else if (s->files == NULL)
		req_fail(req, 404, "not_found", "%s", files->absent);
	else
		req_fail(req, 404, "not_found",
			 "there is nothing at this path");
}
