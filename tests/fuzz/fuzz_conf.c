/*
 * fuzz_conf.c - settings from a file, from the environment, from -o.
 *
 * A file is refused with its line and words, or taken; then what conf_dump
 * writes is taken too and dumps as the same text.  The first byte chooses the
 * source: 'e' environment, 'o' options, one a line; all else is a file.
 */
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/conf_file.h"
#include "conf/setting.h"
#include "tests/fuzz/fuzz.h"

#define LINES_MAX 64

/* The linker leads sysconf here, and the real one under its other name. */
long __wrap_sysconf(int name);
long __real_sysconf(int name);
long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN ? 2 : __real_sysconf(name);
}

/* The path of a file with these bytes; there is one at a time. */
static const char *file_of(struct tl_str text)
{
	static char path[32];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		tl_assert(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	tl_assert(ftruncate(fd, 0) == 0);
	tl_assert(pwrite(fd, text.ptr, text.len, 0) == (ssize_t)text.len);
	return path;
}

static struct tl_str dump_of(const struct conf *conf)
{
	struct tl_str text;
	char *p = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&p, &len);

	conf_dump(conf, false, f);
	fclose(f);
	text.ptr = p;
	text.len = len;
	return text;
}

static void check_again(const struct conf *conf)
{
	struct tl_str first = dump_of(conf), second;
	struct conf_source src = { .file = file_of(first) };
	struct conf *again;

	tl_assert(conf_load(&src, &again, NULL) == TL_OK);
	second = dump_of(again);
	tl_assert(tl_str_eq(first, second));
	conf_free(&again);
	free((void *)(uintptr_t)first.ptr);
	free((void *)(uintptr_t)second.ptr);
}

/* What an operator has to repair is said with its place: the line, or the
 * setting, where a default is what does not go with the rest. */
static void check_words(const struct conf_source *src, const struct tl_err *err)
{
	size_t len = src->file != NULL ? strlen(src->file) : 0;
	struct tl_str section, key = tl_str_c(err->text), rest;

	tl_assert(err->text[0] != '\0' &&
		  strlen(err->text) < sizeof(err->text));
	tl_assert(strchr(err->text, '\n') == NULL);
	if (src->file == NULL)
		return;
	if (strncmp(err->text, src->file, len) == 0) {
		tl_assert(err->text[len] == ':' && err->text[len + 1] >= '1' &&
			  err->text[len + 1] <= '9');
		return;
	}
	tl_assert(tl_str_split(&key, '.', &section));
	rest = key;
	tl_assert(tl_str_split(&rest, ':', &key));
	tl_assert(setting_find(section, key) != NULL);
}

static size_t lines_of(struct tl_str text, char **lines)
{
	struct tl_str line;
	size_t n = 0;

	while (n < LINES_MAX && tl_str_split(&text, '\n', &line))
		lines[n++] = tl_strndup(line.ptr, line.len);
	lines[n] = NULL;
	return n;
}

/* Whether a setting has this name at all; an item of a file is never more. */
static enum tl_status item_known(void *arg, struct tl_str section,
				 struct tl_str key, struct tl_str value,
				 unsigned line, struct tl_err *err)
{
	unsigned *last = arg;

	tl_assert(line > *last);
	*last = line;
	tl_assert(memchr(value.ptr, '\n', value.len) == NULL);
	if (tl_str_eq(section, TL_STR("cost.models")) ||
	    setting_find(section, key) != NULL)
		return TL_OK;
	return tl_err_set(err, TL_INVALID, "unknown");
}

/*
 * A load begins with the defaults, which is most of its work: three of four
 * files that can only be refused are refused here.
 */
static bool worth_a_load(const struct conf_source *src, size_t size)
{
	unsigned last = 0;
	struct tl_err err;

	if (src->file == NULL ||
	    conf_file_read(src->file, item_known, &last, &err) == TL_OK)
		return true;
	check_words(src, &err);
	return size % 4 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *lines[LINES_MAX + 1] = { NULL };
	const char *borrowed[LINES_MAX + 1];
	struct fuzz_bytes b = { data, size };
	uint8_t from = fuzz_u8(&b);
	struct conf_source src = { .file = NULL };
	struct conf *conf;
	struct tl_err err;
	size_t n = 0;

	if (from == 'e' || from == 'o') {
		n = lines_of(fuzz_rest(&b), lines);
		memcpy(borrowed, lines, sizeof(lines));
		if (from == 'e') {
			src.env = borrowed;
		} else {
			src.overrides = borrowed;
			src.n_overrides = n;
		}
	} else {
		src.file = file_of((struct tl_str){ (const char *)data, size });
	}
	if (worth_a_load(&src, size)) {
		if (conf_load(&src, &conf, &err) == TL_OK) {
			check_again(conf);
			conf_free(&conf);
		} else {
			check_words(&src, &err);
		}
	}
	while (n > 0)
		tl_free(lines[--n]);
	return 0;
}
