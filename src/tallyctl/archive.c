#include "config.h"

#include "tallyctl/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

#define MAGIC        "TALLYBAK"
#define MAGIC_END    "TALLYEND"
#define BUFFER_BYTES (256u << 10)
#define CONTENTS_MAX (16u << 20)
#define SHA_BYTES    32

struct head {
	char magic[8];
	uint32_t version, zero;
};
struct trailer {
	uint8_t sha256[SHA_BYTES];
	uint64_t offset, bytes;
	uint32_t version, zero;
	char magic[8];
};
_Static_assert(sizeof(struct head) == 16 && sizeof(struct trailer) == 64,
	       "bump ARCHIVE_VERSION");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "numbers are written as they lie in memory");

struct archive_writer {
	struct tl_arena *arena;
	char *path, *tmp; /* NULL: standard output */
	int fd;
	uint8_t *buffer;
	size_t buffered;
	uint64_t bytes; /* given so far */
	EVP_MD_CTX *sha;
	struct doc *parts;
	const char *name; /* of the part in hand */
	uint64_t begun;
};

/* ---- writing ---- */

static enum tl_status flush(struct archive_writer *w, struct tl_err *err)
{
	size_t n = w->buffered;

	w->buffered = 0;
	if (tl_write_all(w->fd, w->buffer, n, err) == TL_OK)
		return TL_OK;
	return tl_err_wrap(err, "write '%s'",
			   w->tmp != NULL ? w->tmp : "standard output");
}

static enum tl_status put(struct archive_writer *w, const void *p, size_t len,
			  struct tl_err *err)
{
	const uint8_t *from = p;
	enum tl_status st;
	size_t n;

	w->bytes += len;
	while (len > 0) {
		if (w->buffered == BUFFER_BYTES) {
			st = flush(w, err);
			if (st != TL_OK)
				return st;
		}
		n = BUFFER_BYTES - w->buffered;
		n = len < n ? len : n;
		memcpy(w->buffer + w->buffered, from, n);
		w->buffered += n;
		from += n;
		len -= n;
	}
	return TL_OK;
}

enum tl_status archive_create(const char *path, struct tl_arena *a,
			      struct archive_writer **w_r, struct tl_err *err)
{
	const struct head head = { .magic = MAGIC, .version = ARCHIVE_VERSION };
	struct archive_writer *w = tl_alloc(sizeof(*w));
	enum tl_status st = TL_OK;

	w->arena = a;
	w->fd = STDOUT_FILENO;
	w->buffer = tl_alloc(BUFFER_BYTES);
	w->sha = EVP_MD_CTX_new();
	w->parts = doc_array(a);
	if (strcmp(path, "-") != 0) {
		w->path = tl_strdup(path);
		w->tmp = tl_asprintf("%s.tmp", path);
		/* What an interrupted one left; never through a link. */
		(void)unlink(w->tmp);
		w->fd = open(w->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			     0600);
		if (w->fd < 0)
			st = tl_err_sys(err, "make '%s'", w->tmp);
	}
	if (st == TL_OK)
		st = put(w, &head, sizeof(head), err);
	if (st == TL_OK)
		*w_r = w;
	else
		archive_writer_free(&w);
	return st;
}

void archive_writer_free(struct archive_writer **wp)
{
	struct archive_writer *w = *wp;

	if (w == NULL)
		return;
	if (w->tmp != NULL && w->fd >= 0) {
		close(w->fd);
		(void)unlink(w->tmp);
	}
	EVP_MD_CTX_free(w->sha);
	tl_free(w->buffer);
	tl_free(w->path);
	tl_free(w->tmp);
	tl_freep(wp);
}

enum tl_status archive_begin(struct archive_writer *w, const char *name,
			     struct tl_err *err)
{
	w->name = name;
	w->begun = w->bytes;
	if (EVP_DigestInit_ex(w->sha, EVP_sha256(), NULL) != 1)
		return tl_err_set(err, TL_SYSTEM, "no SHA-256");
	return TL_OK;
}

enum tl_status archive_add(struct archive_writer *w, const void *p, size_t len,
			   struct tl_err *err)
{
	if (EVP_DigestUpdate(w->sha, p, len) != 1)
		return tl_err_set(err, TL_SYSTEM, "no SHA-256");
	return put(w, p, len, err);
}

static const struct doc *hex_doc(struct tl_arena *a,
				 const uint8_t sha256[SHA_BYTES])
{
	char text[2 * SHA_BYTES + 1];

	tl_hex(sha256, SHA_BYTES, text);
	return doc_str(a,
		       tl_str_c(tl_arena_strndup(a, text, sizeof(text) - 1)));
}

enum tl_status archive_end(struct archive_writer *w, uint64_t rows,
			   struct tl_err *err)
{
	struct doc *o = doc_object(w->arena);
	uint8_t sum[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(w->sha, sum, NULL) != 1)
		return tl_err_set(err, TL_SYSTEM, "no SHA-256");
	doc_set(w->arena, o, "name", doc_str(w->arena, tl_str_c(w->name)));
	doc_set(w->arena, o, "offset", doc_int(w->arena, (int64_t)w->begun));
	doc_set(w->arena, o, "bytes",
		doc_int(w->arena, (int64_t)(w->bytes - w->begun)));
	doc_set(w->arena, o, "rows", doc_int(w->arena, (int64_t)rows));
	doc_set(w->arena, o, "sha256", hex_doc(w->arena, sum));
	doc_push(w->arena, w->parts, o);
	return TL_OK;
}

uint64_t archive_bytes(const struct archive_writer *w)
{
	return w->bytes;
}

static enum tl_status sum_of(const void *p, size_t len, uint8_t *sum_r,
			     struct tl_err *err)
{
	if (EVP_Digest(p, len, sum_r, NULL, EVP_sha256(), NULL) != 1)
		return tl_err_set(err, TL_SYSTEM, "no SHA-256");
	return TL_OK;
}

static enum tl_status sync_directory(const char *path, struct tl_err *err)
{
	char *copy = tl_strdup(path);
	const char *dir = dirname(copy);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum tl_status st = TL_OK;

	if (fd < 0 || fsync(fd) < 0)
		st = tl_err_sys(err, "sync directory '%s'", dir);
	if (fd >= 0)
		close(fd);
	tl_free(copy);
	return st;
}

/* What the disk gives back is what was written. */
static enum tl_status settle(struct archive_writer *w, struct tl_err *err)
{
	struct archive a;
	enum tl_status st;

	if (fsync(w->fd) < 0)
		return tl_err_sys(err, "sync '%s'", w->tmp);
	st = archive_open(w->tmp, w->arena, &a, err);
	if (st == TL_OK) {
		st = archive_verify(&a, err);
		archive_close(&a);
	}
	if (st != TL_OK)
		return tl_err_wrap(err, "what was written does not read back");
	if (rename(w->tmp, w->path) < 0)
		return tl_err_sys(err, "rename '%s' to '%s'", w->tmp, w->path);
	close(w->fd);
	w->fd = -1;
	return sync_directory(w->path, err);
}

enum tl_status archive_finish(struct archive_writer *w, struct doc *contents,
			      struct tl_err *err)
{
	struct trailer t = { .offset = w->bytes,
			     .version = ARCHIVE_VERSION,
			     .magic = MAGIC_END };
	uint8_t sum[EVP_MAX_MD_SIZE];
	enum tl_status st;
	struct tl_buf b;

	doc_set(w->arena, contents, "parts", w->parts);
	tl_buf_init(&b);
	doc_write(contents, DOC_JSON, &b);
	t.bytes = b.len;
	st = sum_of(b.ptr, b.len, sum, err);
	memcpy(t.sha256, sum, sizeof(t.sha256));
	if (st == TL_OK)
		st = put(w, b.ptr, b.len, err);
	if (st == TL_OK)
		st = put(w, &t, sizeof(t), err);
	if (st == TL_OK)
		st = flush(w, err);
	if (st == TL_OK && w->tmp != NULL)
		st = settle(w, err);
	tl_buf_deinit(&b);
	return st;
}

/* ---- reading ---- */

static enum tl_status refuse_version(uint32_t version, struct tl_err *err)
{
	return tl_err_set(err, TL_VERSION,
			  "its format is %" PRIu32 ", and this release reads "
			  "%d at most; use the tallyctl that made it, or a "
			  "later one",
			  version, ARCHIVE_VERSION);
}

static enum tl_status read_ends(struct archive *a, uint64_t size,
				struct trailer *t, struct tl_err *err)
{
	struct head head;
	enum tl_status st;

	if (size < sizeof(head) + sizeof(*t))
		return tl_err_set(err, TL_BROKEN,
				  "it is too short to be a "
				  "backup");
	st = tl_pread_all(a->fd, &head, sizeof(head), 0, err);
	if (st != TL_OK)
		return st;
	if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0)
		return tl_err_set(err, TL_BROKEN,
				  "it is no backup of tallyctl");
	if (head.version > ARCHIVE_VERSION)
		return refuse_version(head.version, err);
	st = tl_pread_all(a->fd, t, sizeof(*t), (off_t)(size - sizeof(*t)),
			  err);
	if (st != TL_OK)
		return st;
	if (memcmp(t->magic, MAGIC_END, sizeof(t->magic)) != 0)
		return tl_err_set(err, TL_BROKEN, "its end is missing");
	if (t->version != head.version || t->zero != 0 || head.zero != 0 ||
	    t->bytes > CONTENTS_MAX || t->offset > size ||
	    t->offset + t->bytes + sizeof(*t) != size)
		return tl_err_set(err, TL_BROKEN, "its last bytes are damaged");
	return TL_OK;
}

static bool take_part(const struct doc *d, struct archive_part *part,
		      uint64_t end)
{
	const struct doc *name = doc_get(d, "name");
	const struct doc *sum = doc_get(d, "sha256");
	int64_t offset, bytes, rows;

	if (name == NULL || name->type != DOC_STR || sum == NULL ||
	    sum->type != DOC_STR ||
	    !doc_is_int(doc_get(d, "offset"), 0, INT64_MAX, &offset) ||
	    !doc_is_int(doc_get(d, "bytes"), 0, INT64_MAX, &bytes) ||
	    !doc_is_int(doc_get(d, "rows"), 0, INT64_MAX, &rows) ||
	    sum->str.len != 2 * SHA_BYTES ||
	    !tl_unhex(sum->str, part->sha256, SHA_BYTES))
		return false;
	part->name = name->str.ptr;
	part->offset = (uint64_t)offset;
	part->bytes = (uint64_t)bytes;
	part->rows = (uint64_t)rows;
	return part->offset <= end && part->bytes <= end - part->offset;
}

static enum tl_status read_contents(struct archive *a, const struct trailer *t,
				    struct tl_arena *arena, struct tl_err *err)
{
	char *text = tl_arena_alloc(arena, t->bytes + 1);
	uint8_t sum[EVP_MAX_MD_SIZE];
	const struct doc *parts;
	enum tl_status st;

	st = tl_pread_all(a->fd, text, t->bytes, (off_t)t->offset, err);
	if (st == TL_OK)
		st = sum_of(text, t->bytes, sum, err);
	if (st != TL_OK)
		return st;
	if (memcmp(sum, t->sha256, sizeof(t->sha256)) != 0)
		return tl_err_set(err, TL_BROKEN,
				  "its contents do not have the checksum that "
				  "stands beside them");
	st = doc_parse(arena, DOC_JSON, (struct tl_str){ text, t->bytes },
		       &a->contents, err);
	parts = st == TL_OK ? doc_get(a->contents, "parts") : NULL;
	if (parts == NULL || parts->type != DOC_ARRAY)
		return tl_err_set(err, TL_BROKEN, "its contents name no parts");
	a->parts = tl_arena_alloc(arena, (parts->n + 1) * sizeof(*a->parts));
	for (; a->n_parts < parts->n; a->n_parts++) {
		if (!take_part(parts->items[a->n_parts], &a->parts[a->n_parts],
			       t->offset))
			return tl_err_set(err, TL_BROKEN,
					  "part %" PRIu32 " of its contents is "
					  "wrong",
					  a->n_parts);
	}
	return TL_OK;
}

enum tl_status archive_open(const char *path, struct tl_arena *arena,
			    struct archive *a_r, struct tl_err *err)
{
	struct archive a = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	struct trailer t;
	struct stat sb;
	enum tl_status st;

	if (a.fd < 0 || fstat(a.fd, &sb) < 0) {
		st = tl_err_sys(err, "open '%s'", path);
		goto out;
	}
	st = S_ISREG(sb.st_mode)
		     ? read_ends(&a, (uint64_t)sb.st_size, &t, err)
		     : tl_err_set(err, TL_INVALID, "it is not a file");
	if (st == TL_OK)
		st = read_contents(&a, &t, arena, err);
	if (st != TL_OK)
		(void)!tl_err_wrap(err, "'%s'", path);
out:
	if (st == TL_OK)
		*a_r = a;
	else if (a.fd >= 0)
		close(a.fd);
	return st;
}

void archive_close(struct archive *a)
{
	close(a->fd);
}

void archive_seek(struct archive *a, const struct archive_part *part)
{
	a->at = part->offset;
	a->left = part->bytes;
}

enum tl_status archive_read(void *arg, void *p, size_t max, size_t *len_r,
			    struct tl_err *err)
{
	struct archive *a = arg;
	size_t n = a->left < max ? (size_t)a->left : max;
	enum tl_status st = TL_OK;

	if (n > 0)
		st = tl_pread_all(a->fd, p, n, (off_t)a->at, err);
	if (st != TL_OK)
		return st;
	a->at += n;
	a->left -= n;
	*len_r = n;
	return TL_OK;
}

static enum tl_status verify_part(struct archive a,
				  const struct archive_part *part,
				  EVP_MD_CTX *sha, uint8_t *buffer,
				  struct tl_err *err)
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	size_t len = 1;
	enum tl_status st;

	archive_seek(&a, part);
	if (EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
		return tl_err_set(err, TL_SYSTEM, "no SHA-256");
	while (len > 0) {
		st = archive_read(&a, buffer, BUFFER_BYTES, &len, err);
		if (st != TL_OK)
			return st;
		if (EVP_DigestUpdate(sha, buffer, len) != 1)
			return tl_err_set(err, TL_SYSTEM, "no SHA-256");
	}
	if (EVP_DigestFinal_ex(sha, sum, NULL) != 1)
		return tl_err_set(err, TL_SYSTEM, "no SHA-256");
	if (memcmp(sum, part->sha256, SHA_BYTES) == 0)
		return TL_OK;
	return tl_err_set(err, TL_BROKEN,
			  "part '%s' does not have its checksum: the file was "
			  "changed or damaged",
			  part->name);
}

enum tl_status archive_verify(const struct archive *a, struct tl_err *err)
{
	uint8_t *buffer = tl_alloc(BUFFER_BYTES);
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	enum tl_status st = TL_OK;

	for (uint32_t i = 0; st == TL_OK && i < a->n_parts; i++)
		st = verify_part(*a, &a->parts[i], sha, buffer, err);
	EVP_MD_CTX_free(sha);
	tl_free(buffer);
	return st;
}

const struct archive_part *archive_find(const struct archive *a,
					const char *name)
{
	for (uint32_t i = 0; i < a->n_parts; i++) {
		if (strcmp(a->parts[i].name, name) == 0)
			return &a->parts[i];
	}
	return NULL;
}
