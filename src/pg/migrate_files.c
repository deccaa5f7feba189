/*
 * migrate_files.c - finding, ordering, reading and summing migration files.
 */
#include "pg/migrate_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#define FILE_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define UP_SUFFIX      ".up.sql"

enum tl_status migrate_files_read(const char *path, char **sql_r,
				  struct tl_err *err)
{
	size_t len;
	char *sql;
	enum tl_status st = tl_file_read(path, FILE_BYTES_MAX, &sql, &len, err);

	if (st != TL_OK)
		return st;
	if (strlen(sql) != len) {
		tl_free(sql);
		return tl_err_set(err, TL_INVALID, "%s: holds a NUL", path);
	}
	*sql_r = sql;
	return TL_OK;
}

unsigned migrate_files_line(const char *sql, unsigned long position)
{
	unsigned line = 1;

	for (; *sql != '\0' && position > 1; sql++) {
		if (((unsigned char)sql[0] & 0xC0) != 0x80)
			position--;
		line += *sql == '\n';
	}
	return line;
}

char *migrate_files_path(const struct migrate_files *f,
			 const struct migrate_file *file, const char *direction)
{
	return tl_asprintf("%s/%04u_%s.%s.sql", f->dir, file->number,
			   file->name, direction);
}

const struct migrate_file *migrate_files_find(const struct migrate_files *f,
					      uint32_t number)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (f->files[i].number == number)
			return &f->files[i];
	return NULL;
}

/* NNNN_name.up.sql, name of a-z, 0-9 and _. */
static bool parse_name(const char *entry, struct migrate_file *file)
{
	size_t len = strlen(entry), name_len;
	uint64_t number;

	if (len < 6 + sizeof(UP_SUFFIX) - 1 || entry[4] != '_' ||
	    !tl_parse_u64((struct tl_str){ entry, 4 }, 1, 9999, &number))
		return false;
	name_len = len - 5 - (sizeof(UP_SUFFIX) - 1);
	if (name_len >= sizeof(file->name) ||
	    strspn(entry + 5, "abcdefghijklmnopqrstuvwxyz0123456789_") !=
		    name_len)
		return false;
	file->number = (uint32_t)number;
	memcpy(file->name, entry + 5, name_len);
	file->name[name_len] = '\0';
	return true;
}

static enum tl_status sum_file(const struct migrate_files *f,
			       struct migrate_file *file, struct tl_err *err)
{
	char *path = migrate_files_path(f, file, "up"), *sql = NULL;
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned sum_len = 0;
	enum tl_status st = migrate_files_read(path, &sql, err);

	if (st == TL_OK && EVP_Digest(sql, strlen(sql), sum, &sum_len,
				      EVP_sha256(), NULL) != 1)
		st = tl_err_set(err, TL_SYSTEM, "%s: no SHA-256", path);
	if (st == TL_OK)
		tl_hex(sum, sum_len, file->up_sha256);
	tl_free(sql);
	tl_free(path);
	return st;
}

static int by_number(const void *a, const void *b)
{
	const struct migrate_file *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static enum tl_status read_dir(struct migrate_files *f, DIR *d,
			       struct tl_err *err)
{
	const size_t suffix_len = sizeof(UP_SUFFIX) - 1;
	struct dirent *entry;
	enum tl_status st = TL_OK;

	while (st == TL_OK && (entry = readdir(d)) != NULL) {
		size_t len = strlen(entry->d_name);
		struct migrate_file *file;

		if (len < suffix_len || entry->d_name[0] == '.' ||
		    strcmp(entry->d_name + len - suffix_len, UP_SUFFIX) != 0)
			continue;
		f->files = tl_realloc(f->files, (f->n + 1) * sizeof(*file));
		file = &f->files[f->n];
		if (!parse_name(entry->d_name, file))
			return tl_err_set(err, TL_INVALID,
					  "%s/%s: want NNNN_name" UP_SUFFIX,
					  f->dir, entry->d_name);
		f->n++;
		st = sum_file(f, file, err);
	}
	return st;
}

enum tl_status migrate_files_init(struct migrate_files *f, const char *dir,
				  struct tl_err *err)
{
	enum tl_status st;
	DIR *d = opendir(dir);

	*f = (struct migrate_files){ .n = 0 };
	if (d == NULL)
		return tl_err_sys(err, "open directory '%s'", dir);
	f->dir = tl_strdup(dir);
	st = read_dir(f, d, err);
	closedir(d);
	if (f->n > 0)
		qsort(f->files, f->n, sizeof(*f->files), by_number);
	for (uint32_t i = 1; st == TL_OK && i < f->n; i++)
		if (f->files[i].number == f->files[i - 1].number)
			st = tl_err_set(err, TL_INVALID,
					"'%s' holds two migrations %04u", dir,
					f->files[i].number);
	if (st != TL_OK)
		migrate_files_deinit(f);
	return st;
}

void migrate_files_deinit(struct migrate_files *f)
{
	tl_free(f->dir);
	tl_free(f->files);
	*f = (struct migrate_files){ .n = 0 };
}
