/*
 * fd.h - descriptors, whole reads and writes, directories, random bytes.
 */
#ifndef TALLY_BASE_FD_H
#define TALLY_BASE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

enum tl_status tl_fd_nonblock(int fd, struct tl_err *err) TL_MUST_CHECK;
enum tl_status tl_write_all(int fd, const void *p, size_t len,
			    struct tl_err *err) TL_MUST_CHECK;
/* A short file is TL_BROKEN. */
enum tl_status tl_pread_all(int fd, void *p, size_t len, off_t at,
			    struct tl_err *err) TL_MUST_CHECK;
/* Whole file to fresh memory with a NUL behind; larger than max: TL_FULL. */
enum tl_status tl_file_read(const char *path, size_t max_bytes, char **data_r,
			    size_t *len_r, struct tl_err *err) TL_MUST_CHECK;
/* Written beside, fsynced, renamed over path. */
enum tl_status tl_file_replace(const char *path, const void *p, size_t len,
			       mode_t mode, struct tl_err *err) TL_MUST_CHECK;
/* Makes path and its parents. */
enum tl_status tl_mkdirs(const char *path, mode_t mode,
			 struct tl_err *err) TL_MUST_CHECK;
void tl_random(void *p, size_t len); /* getrandom(2), never short */

#endif
