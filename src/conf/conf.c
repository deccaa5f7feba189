/*
 * conf.c - see conf.h.  The table of settings is in setting.c.
 */
#include "config.h" /* _GNU_SOURCE */

#include "conf/conf.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/paths.h"
#include "conf/conf_file.h"
#include "conf/setting.h"
#include "tally/key.h"

#define MODELS     "cost.models"
#define MODELS_MAX 1000
#define UNCUT_MAX  140 /* below what conf_dump can do with one line */
#define ENV_PREFIX "TALLYD_"

struct loader {
	struct conf *conf;
	const char *file; /* as the caller named it */
};

/* Values that a file could not say are refused from everywhere. */
static enum tl_status check_text(struct tl_str value, struct tl_err *err)
{
	size_t uncut = 0;

	if (tl_has_control(value) || !tl_utf8_valid(value, NULL))
		return tl_err_set(err, TL_INVALID,
				  "the value has a control character or is "
				  "not UTF-8");
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] == ';' && (i == 0 || value.ptr[i - 1] == ' '))
			return tl_err_set(err, TL_INVALID,
					  "a ';' begins a comment there; "
					  "remove the blank in front of it");
	for (size_t i = 1; i < value.len; i++) {
		uncut = conf_file_may_cut(value, i) ? 0 : uncut + 1;
		if (uncut > UNCUT_MAX)
			return tl_err_set(
				err, TL_INVALID,
				"more than %d of blanks, ';', '#' "
				"and '\\' follow each other, where no "
				"line can be broken; take fewer",
				UNCUT_MAX);
	}
	return TL_OK;
}

/* "0.01,0.02" of [cost.models].  The last one of a name wins. */
static enum tl_status set_model(struct conf *conf, struct tl_str name,
				struct tl_str value, bool may_exist,
				struct tl_err *err)
{
	struct tally_cost_table *t = &conf->cost;
	struct tl_str prompt = { NULL, 0 }, completion = { NULL, 0 };
	struct tally_cost_rate rate;
	struct tl_str rest = value;
	uint32_t i = 0;

	if (name.len == 0 || name.len > 100 ||
	    strchr("[#;", name.ptr[0]) != NULL ||
	    memchr(name.ptr, ':', name.len) != NULL ||
	    memchr(name.ptr, '=', name.len) != NULL)
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' cannot name a model here; use 1 to "
				  "100 bytes without '=' and ':'",
				  (int)name.len, name.ptr);
	if (check_text(name, err) != TL_OK)
		return TL_INVALID;
	(void)tl_str_split(&rest, ',', &prompt);
	(void)tl_str_split(&rest, ',', &completion);
	if (rest.len > 0 ||
	    !tally_cost_parse_usd(tl_str_trim(prompt),
				  &rate.prompt_nano_per_1k) ||
	    !tally_cost_parse_usd(tl_str_trim(completion),
				  &rate.completion_nano_per_1k))
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' is not a pair of rates; give "
				  "prompt,completion in USD per 1000 tokens "
				  "such as 0.03,0.06",
				  (int)value.len, value.ptr);
	while (i < t->n_models && !tl_str_eq(name, tl_str_c(t->models[i].name)))
		i++;
	if (i < t->n_models && !may_exist)
		return tl_err_set(err, TL_INVALID,
				  "it is there a second time; remove one");
	if (i == MODELS_MAX)
		return tl_err_set(err, TL_INVALID,
				  "too many models; give at most %d",
				  MODELS_MAX);
	if (i == t->n_models) {
		t->models = tl_realloc(t->models, (i + 1) * sizeof(*t->models));
		t->models[i].name = tl_strndup(name.ptr, name.len);
		t->n_models++;
	}
	t->models[i].rate = rate;
	return TL_OK;
}

static enum tl_status unknown(struct tl_str section, struct tl_str key,
			      struct tl_err *err)
{
	const struct setting *s = SETTINGS;

	/* The likely cause is a key under the wrong section. */
	while (s->section != NULL && !tl_str_eq(key, tl_str_c(s->key)))
		s++;
	if (section.len == 0 && s->section != NULL)
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' has no section in front of it; "
				  "there is '%s'",
				  (int)key.len, key.ptr, s->name);
	if (section.len == 0)
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' has no section in front of it; "
				  "tallyd.conf(5) lists them",
				  (int)key.len, key.ptr);
	if (s->section != NULL)
		return tl_err_set(err, TL_INVALID,
				  "no setting '%.*s.%.*s'; there is '%s'",
				  (int)section.len, section.ptr, (int)key.len,
				  key.ptr, s->name);
	return tl_err_set(
		err, TL_INVALID, "no %s '%.*s.%.*s'; tallyd.conf(5) lists them",
		setting_section_known(section) ? "setting" : "section of",
		(int)section.len, section.ptr, (int)key.len, key.ptr);
}

static enum tl_status set_value(struct loader *l, const struct setting *s,
				struct tl_str value, struct tl_err *err)
{
	enum tl_status st = check_text(value, err);

	if (st == TL_OK)
		st = setting_parse(s, l->conf, value, err);
	return st == TL_OK ? TL_OK : tl_err_wrap(err, "%s", s->name);
}

static enum tl_status set_from_file(void *arg, struct tl_str section,
				    struct tl_str key, struct tl_str value,
				    unsigned line, struct tl_err *err)
{
	struct loader *l = arg;
	const struct setting *s = setting_find(section, key);
	struct conf_origin *origin;
	enum tl_status st;

	if (tl_str_eq(section, TL_STR(MODELS))) {
		st = set_model(l->conf, key, value, false, err);
		return st == TL_OK ? TL_OK
				   : tl_err_wrap(err, MODELS ".%.*s",
						 (int)key.len, key.ptr);
	}
	if (s == NULL)
		return unknown(section, key, err);
	origin = &l->conf->origins[s - SETTINGS];
	if (origin->line != 0)
		return tl_err_set(err, TL_INVALID,
				  "%s: it is in line %u already; remove one",
				  s->name, origin->line);
	*origin = (struct conf_origin){ CONF_FROM_FILE, line };
	return set_value(l, s, value, err);
}

static void came_from(struct loader *l, const struct setting *s,
		      enum conf_from from)
{
	l->conf->origins[s - SETTINGS] = (struct conf_origin){ .from = from };
}

static void lower(struct tl_str from, char *dst)
{
	for (size_t i = 0; i < from.len; i++) {
		char c = from.ptr[i];

		dst[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
}

/*
 * TALLYD_SERVER_WORKERS=4.  Names whose second word is no section of ours
 * are somebody else's (TALLYD_URL and the like are written by quickstart).
 */
static enum tl_status set_from_env(struct loader *l, const char *variable,
				   struct tl_err *err)
{
	char folded[64];
	const struct setting *s;
	const char *eq = strchr(variable, '=');
	const char *from = variable + sizeof(ENV_PREFIX) - 1;
	struct tl_str name, section, key;
	enum tl_status st;

	if (strncmp(variable, ENV_PREFIX, sizeof(ENV_PREFIX) - 1) != 0 ||
	    eq == NULL || (size_t)(eq - from) > sizeof(folded))
		return TL_OK;
	name = (struct tl_str){ from, (size_t)(eq - from) };
	lower(name, folded);
	key = (struct tl_str){ folded, name.len };
	if (!tl_str_split(&key, '_', &section) ||
	    section.ptr + section.len == key.ptr ||
	    !setting_section_known(section))
		return TL_OK;
	s = setting_find(section, key);
	if (s == NULL) {
		st = unknown(section, key, err);
	} else {
		came_from(l, s, CONF_FROM_ENVIRONMENT);
		st = set_value(l, s, tl_str_trim(tl_str_c(eq + 1)), err);
	}
	return st == TL_OK ? TL_OK
			   : tl_err_wrap(err, "environment " ENV_PREFIX "%.*s",
					 (int)name.len, name.ptr);
}

/* -o section.key=value */
static enum tl_status set_from_option(struct loader *l, const char *option,
				      struct tl_err *err)
{
	struct tl_str models = TL_STR(MODELS ".");
	const char *eq = strchr(option, '=');
	const struct setting *s;
	struct tl_str name, section, key, value;
	enum tl_status st;

	if (eq == NULL)
		return tl_err_set(err, TL_INVALID,
				  "-o %s: there is no '='; give "
				  "section.key=value",
				  option);
	name = tl_str_trim((struct tl_str){ option, (size_t)(eq - option) });
	value = tl_str_trim(tl_str_c(eq + 1));
	key = name;
	section = (struct tl_str){ "", 0 };
	if (memchr(name.ptr, '.', name.len) != NULL)
		(void)tl_str_split(&key, '.', &section);
	s = setting_find(section, key);
	if (name.len > models.len &&
	    memcmp(name.ptr, models.ptr, models.len) == 0) {
		key = (struct tl_str){ name.ptr + models.len,
				       name.len - models.len };
		key = tl_str_trim(key);
		st = check_text(value, err);
		if (st == TL_OK)
			st = set_model(l->conf, key, value, true, err);
	} else if (s == NULL) {
		st = unknown(section, key, err);
	} else {
		came_from(l, s, CONF_FROM_OPTION);
		st = check_text(value, err);
		if (st == TL_OK)
			st = setting_parse(s, l->conf, value, err);
	}
	return st == TL_OK
		       ? TL_OK
		       : tl_err_wrap(err, "-o %.*s", (int)name.len, name.ptr);
}

static enum tl_status read_sources(struct loader *l,
				   const struct conf_source *src,
				   struct tl_err *err)
{
	enum tl_status st = TL_OK;

	for (const struct setting *s = SETTINGS;
	     st == TL_OK && s->section != NULL; s++)
		st = setting_parse(s, l->conf, tl_str_c(s->def), err);
	/* Ours alone: each default passes its own check. */
	tl_assert(st == TL_OK);
	if (src->file != NULL)
		st = conf_file_read(src->file, set_from_file, l, err);
	for (size_t i = 0;
	     st == TL_OK && src->env != NULL && src->env[i] != NULL; i++)
		st = set_from_env(l, src->env[i], err);
	for (size_t i = 0; st == TL_OK && i < src->n_overrides; i++)
		st = set_from_option(l, src->overrides[i], err);
	return st;
}

/* Refuses a setting that disagrees with another one, where it was given. */
static enum tl_status disagree(struct loader *l, const char *section,
			       const char *key, struct tl_err *err)
{
	const struct setting *s =
		setting_find(tl_str_c(section), tl_str_c(key));
	unsigned line = l->conf->origins[s - SETTINGS].line;

	tl_err_wrap(err, "%s", s->name);
	if (line != 0)
		tl_err_wrap(err, "%s:%u", l->file, line);
	return TL_INVALID;
}

static bool power_of_two(struct loader *l, const char *key, uint32_t n,
			 struct tl_err *err)
{
	if ((n & (n - 1)) == 0) /* so is none at all */
		return true;
	(void)tl_err_set(err, TL_INVALID,
			 "%u is no power of two; give 65536 or another one", n);
	(void)disagree(l, "shm", key, err);
	return false;
}

static bool to_socket(const char *log_target)
{
	return strncmp(log_target, "syslog", 6) == 0 ||
	       strcmp(log_target, "journald") == 0;
}

/* One socket has one address, and speaks one way. */
static enum tl_status check_listen(struct loader *l, struct tl_err *err)
{
	const struct conf_strings *a = &l->conf->server.listen;

	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(conf_socket_address(a->items[i]),
				   conf_socket_address(a->items[k])) == 0) {
				(void)tl_err_set(err, TL_INVALID,
						 "'%s' and '%s' are one "
						 "address; give it once",
						 a->items[k], a->items[i]);
				return disagree(l, "server", "listen", err);
			}
	return TL_OK;
}

static enum tl_status check_tls(struct loader *l, struct tl_err *err)
{
	const struct conf *c = l->conf;
	bool listens = false;

	for (size_t i = 0; i < c->server.listen.n; i++)
		listens |= strncmp(c->server.listen.items[i], "tls:", 4) == 0;
	if (listens && c->tls.certificates.n == 0) {
		(void)tl_err_set(err, TL_INVALID,
				 "it has a tls: address, which needs a "
				 "certificate and a key; name their files in "
				 "tls.certificates");
		return disagree(l, "server", "listen", err);
	}
	if (c->tls.client_certificates != CONF_CLIENT_OFF &&
	    c->tls.client_ca[0] == '\0') {
		(void)tl_err_set(err, TL_INVALID,
				 "it needs the authorities that clients' "
				 "certificates are of; name their file in "
				 "tls.client_ca");
		return disagree(l, "tls", "client_certificates", err);
	}
	return TL_OK;
}

static enum tl_status cross_check(struct loader *l, struct tl_err *err)
{
	const struct conf *c = l->conf;

	if (c->server.listen.n == 0) {
		(void)tl_err_set(err, TL_INVALID,
				 "it is empty; give ADDR:PORT or unix:/path");
		return disagree(l, "server", "listen", err);
	}
	if (!power_of_two(l, "decision_ring", c->shm.decision_ring, err) ||
	    !power_of_two(l, "request_log", c->shm.request_log, err))
		return TL_INVALID;
	if (c->tracing.headers.n > CONF_TRACING_HEADERS_MAX) {
		(void)tl_err_set(err, TL_INVALID,
				 "there are more than %d; remove some",
				 CONF_TRACING_HEADERS_MAX);
		return disagree(l, "tracing", "headers", err);
	}
	if (c->log.target[0] != '\0' && c->log.file[0] != '\0') {
		(void)tl_err_set(err, TL_INVALID,
				 "log.target says where lines go; remove one "
				 "of them");
		return disagree(l, "log", "file", err);
	}
	if (c->log.socket[0] != '\0' && !to_socket(c->log.target)) {
		(void)tl_err_set(err, TL_INVALID,
				 "log.target is neither syslog nor journald; "
				 "set it or remove this");
		return disagree(l, "log", "socket", err);
	}
	if (c->metering.flush_interval_max_ms < c->metering.flush_interval_ms) {
		(void)tl_err_set(err, TL_INVALID,
				 "%u is below metering.flush_interval_ms (%u); "
				 "raise it or lower the other",
				 c->metering.flush_interval_max_ms,
				 c->metering.flush_interval_ms);
		return disagree(l, "metering", "flush_interval_max_ms", err);
	}
	if (c->database.hostaddr[0] != '\0' && c->database.url[0] == '\0') {
		(void)tl_err_set(err, TL_INVALID,
				 "there is no database.url that it could "
				 "belong to; set that or remove this");
		return disagree(l, "database", "hostaddr", err);
	}
	if (c->database.direct_url[0] != '\0' && c->database.url[0] == '\0') {
		(void)tl_err_set(err, TL_INVALID,
				 "there is no database.url that would lead to "
				 "the same database; set that or remove this");
		return disagree(l, "database", "direct_url", err);
	}
	if (check_listen(l, err) != TL_OK)
		return TL_INVALID;
	return check_tls(l, err);
}

/*
 * The path without links.  What does not exist yet counts as it will be made,
 * so the answer is the same before and after.
 */
static char *resolve(const char *path)
{
	char *copy = tl_strdup(path), *found = NULL, *slash, *whole;
	size_t cut = strlen(copy);

	while ((found = realpath(copy, NULL)) == NULL) {
		slash = memrchr(copy, '/', cut);
		if (slash == NULL)
			break;
		cut = (size_t)(slash - copy);
		copy[cut] = '\0';
		if (cut == 0) { /* at the root, which needs no resolving */
			found = tl_strdup("");
			break;
		}
	}
	whole = tl_asprintf("%s%s", found != NULL ? found : "", path + cut);
	free(found);
	tl_free(copy);
	return whole;
}

/* "t" and 12 hex digits, from the one place no two daemons can share. */
static char *derive_instance(const char *state_dir)
{
	char *path = resolve(state_dir);
	uint8_t digest[32];
	char hex[13];

	tally_sha256(path, strlen(path), digest);
	tl_hex(digest, 6, hex);
	tl_free(path);
	return tl_asprintf("t%s", hex);
}

static void fill_derived(struct conf *c, const char *file)
{
	char *dir = c->server.state_dir;

	for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
		dir[n - 1] = '\0';
	if (c->server.instance[0] == '\0') {
		tl_free(c->server.instance);
		c->server.instance = derive_instance(dir);
	}
	if (file != NULL)
		c->file = tl_path_absolute(file);
}

enum tl_status conf_load(const struct conf_source *src, struct conf **conf_r,
			 struct tl_err *err)
{
	struct loader l = { .file = src->file };
	enum tl_status st;

	l.conf = tl_alloc(sizeof(*l.conf));
	l.conf->origins =
		tl_alloc_array(SETTINGS_MAX, sizeof(*l.conf->origins));
	st = read_sources(&l, src, err);
	if (st == TL_OK)
		st = cross_check(&l, err);
	if (st != TL_OK) {
		conf_free(&l.conf);
		return st;
	}
	fill_derived(l.conf, src->file);
	*conf_r = l.conf;
	return TL_OK;
}

void conf_free(struct conf **conf)
{
	if (*conf == NULL)
		return;
	for (const struct setting *s = SETTINGS; s->section != NULL; s++)
		setting_free(s, *conf);
	tally_cost_table_deinit(&(*conf)->cost);
	tl_free((*conf)->file);
	tl_free((*conf)->origins);
	tl_freep(conf);
}

enum tl_status conf_log_open(const struct conf *conf, struct tl_err *err)
{
	return log_open_target(conf->log.file[0] != '\0' ? conf->log.file
							 : conf->log.target,
			       conf->log.socket, err);
}

bool conf_log_is_stderr(const struct conf *conf)
{
	return conf->log.file[0] == '\0' &&
	       (conf->log.target[0] == '\0' ||
		strcmp(conf->log.target, "stderr") == 0);
}

enum tl_status conf_check_reload(const struct conf *old,
				 const struct conf *new_, struct tl_err *err)
{
	const struct setting *s = SETTINGS;
	struct tl_buf a, b;

	tl_buf_init(&a);
	tl_buf_init(&b);
	for (; s->section != NULL; s++) {
		tl_buf_reset(&a);
		tl_buf_reset(&b);
		setting_format(s, old, &a);
		setting_format(s, new_, &b);
		if (!s->reloadable &&
		    !tl_str_eq(tl_buf_str(&a), tl_buf_str(&b)))
			break;
	}
	tl_buf_deinit(&a);
	tl_buf_deinit(&b);
	if (s->section == NULL)
		return TL_OK;
	return tl_err_set(err, TL_INVALID,
			  "%s cannot change while tallyd runs; restart it or "
			  "set the old value again",
			  s->name);
}
