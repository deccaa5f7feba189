/*
 * archive.h - the file of a backup: parts, a table of contents, its checksum.
 *
 *	"TALLYBAK" version:32 0:32
 *	the parts, one behind the other, bytes as they are
 *	the contents, JSON: what its caller says, and
 *	  "parts":[{"name":..,"offset":..,"bytes":..,"rows":..,"sha256":".."}]
 *	sha256 of the contents (32) offset:64 bytes:64 version:32 0:32
 *"TALLYEND"
 *
 * Numbers are little-endian.  Contents stand at the end, so that a backup can
 * be written to a pipe; reading needs a file.  Parts are rows in the text form
 * of COPY: whatever happens to this program, they can be cut out and read.
 *
 * Written as FILE.tmp, 0600, synced, read again and compared, and only then
 * renamed: under its own name it is whole.
 */
#ifndef TALLY_TALLYCTL_ARCHIVE_H
#define TALLY_TALLYCTL_ARCHIVE_H

#include <stdint.h>

#include "codec/doc.h"

#define ARCHIVE_VERSION 1

struct archive_writer;
/* "-" is standard output. */
enum tl_status archive_create(const char *path, struct tl_arena *a,
			      struct archive_writer **w_r,
			      struct tl_err *err) TL_MUST_CHECK;
enum tl_status archive_begin(struct archive_writer *w, const char *name,
			     struct tl_err *err) TL_MUST_CHECK;
enum tl_status archive_add(struct archive_writer *w, const void *p, size_t len,
			   struct tl_err *err) TL_MUST_CHECK;
enum tl_status archive_end(struct archive_writer *w, uint64_t rows,
			   struct tl_err *err) TL_MUST_CHECK;
uint64_t archive_bytes(const struct archive_writer *w);
/* contents: an object, which gets its "parts".  Then the file is there. */
enum tl_status archive_finish(struct archive_writer *w, struct doc *contents,
			      struct tl_err *err) TL_MUST_CHECK;
/* One that was not finished is removed. */
void archive_writer_free(struct archive_writer **w);

struct archive_part {
	const char *name;
	uint64_t offset, bytes, rows;
	uint8_t sha256[32];
};
struct archive {
	int fd;
	const struct doc *contents;
	struct archive_part *parts;
	uint32_t n_parts;
	uint64_t at, left; /* of the part being read */
};
/*
 * Reads the contents and compares them with their checksum.  TL_BROKEN: not a
 * backup, cut off, or changed.  TL_VERSION: of a later release.
 */
enum tl_status archive_open(const char *path, struct tl_arena *arena,
			    struct archive *a_r,
			    struct tl_err *err) TL_MUST_CHECK;
void archive_close(struct archive *a);
/* Reads all parts and compares each with its checksum. */
enum tl_status archive_verify(const struct archive *a,
			      struct tl_err *err) TL_MUST_CHECK;
const struct archive_part *archive_find(const struct archive *a,
					const char *name); /* NULL */
void archive_seek(struct archive *a, const struct archive_part *part);
/* Fits bulk_source_fn; arg is the archive. */
enum tl_status archive_read(void *arg, void *p, size_t max, size_t *len_r,
			    struct tl_err *err) TL_MUST_CHECK;

#endif
