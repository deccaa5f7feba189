/*
 * static.c - files for browsers, from memory.
 *
 * A directory is read whole at its first request: a release brings its files
 * once, and a reload starts new workers.  Names are looked up among those that
 * were found, so there is no path that could climb out.
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

#define FILE_MAX_BYTES (16 * 1024 * 1024)

struct file {
	char *name;
	struct http_kept kept;
	struct file *next;
};
struct http_static {
	char *dir; /* "docs" */
	struct file *files;
	struct http_static *next;
};

/* Nothing from elsewhere, nothing inline, in nobody's frame.  The
 * viewer draws icons from data: addresses. */
#define POLICY                                                                 \
	"default-src 'self'; img-src 'self' data:; object-src 'none'; "        \
	"base-uri 'none'; "                                                    \
	"form-action 'self'; frame-ancestors 'none'"

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

static void file_free(struct file *f)
{
	tl_free(f->name);
	tl_buf_deinit(&f->kept.bytes);
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
	struct file *f;
	bool whole;

	if (fd < 0)
		return NULL;
	f = tl_alloc(sizeof(*f));
	f->name = tl_strdup(name);
	tl_buf_init(&f->kept.bytes);
	whole = read_whole(fd, &f->kept.bytes);
	(void)close(fd);
	if (!whole) {
		file_free(f);
		return NULL;
	}
	http_kept_seal(&f->kept);
	return f;
}

static void read_files(struct http_static *s, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	struct file *f;

	if (dir == NULL) {
		log_warn("open directory '%s': %s; its pages are not served",
			 path, strerror(errno));
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		f = e->d_name[0] != '.' ? file_read(dirfd(dir), e->d_name)
					: NULL;
		if (f == NULL)
			continue;
		f->next = s->files;
		s->files = f;
	}
	(void)closedir(dir);
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
	s->dir = tl_strdup(dir);
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
		tl_free(s->dir);
		tl_free(s);
	}
}

static void reply_file(struct req *req, const struct file *f)
{
	req_header_add(req, "Content-Type", "%s", type_of(f->name));
	req_header_add(req, "Content-Security-Policy", "%s", POLICY);
	req_header_add(req, "X-Frame-Options", "DENY");
	req_header_add(req, "Referrer-Policy", "no-referrer");
	http_reply_kept(req, &f->kept);
}

void req_reply_file(struct req *req, const char *dir, struct tl_str name)
{
	const struct http_static *s = directory(req->http, dir);

	for (const struct file *f = s->files; f != NULL; f = f->next) {
		if (tl_str_eq(name, tl_str_c(f->name))) {
			reply_file(req, f);
			return;
		}
	}
	if (s->files == NULL)
		req_fail(req, 404, "not_found",
			 "these pages were not installed: build without "
			 "--without-web");
	else
		req_fail(req, 404, "not_found",
			 "there is nothing at this path");
}
