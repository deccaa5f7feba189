#include "config.h"

#include "proc/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "ctl/ctl.h"
#include "proc/master.h"
#include "proc/sdnotify.h"
#include "shm/layout_table.h"

#define FORMAT	  1 /* of the object; a program refuses others */
#define VARIABLE  "TALLY_HANDOVER"
#define BYTES_MAX (1U << 20)

static const char *const role_names[] = {
	[HANDOVER_TRIAL] = "trial",   [HANDOVER_FORWARD] = "forward",
	[HANDOVER_AFRESH] = "afresh", [HANDOVER_BACK] = "back",
	[HANDOVER_BACK_AFRESH] = "back afresh",
};

/* ---- writing ------------------------------------------------------------- */

struct writer {
	struct tl_arena *a;
	struct doc *doc, *descriptors;
};

static void put_int(struct writer *w, struct doc *d, const char *name,
		    int64_t v)
{
	doc_set(w->a, d, name, doc_int(w->a, v));
}

static void put_text(struct writer *w, struct doc *d, const char *name,
		     const char *s)
{
	doc_set(w->a, d, name,
		s == NULL ? doc_null()
			  : doc_str(w->a, tl_str_c(tl_arena_strndup(
						  w->a, s, strlen(s)))));
}

/* Only what stands in this list stays open over the exec. */
static const struct doc *descriptor(struct writer *w, int fd)
{
	const struct doc *d = doc_int(w->a, fd);

	if (fd >= 0)
		doc_push(w->a, w->descriptors, d);
	return d;
}

static void put_fd(struct writer *w, const char *name, int fd)
{
	doc_set(w->a, w->doc, name, descriptor(w, fd));
}

static struct writer begin(struct tl_arena *a, enum handover_role role)
{
	struct writer w = { a, doc_object(a), doc_array(a) };

	put_int(&w, w.doc, "format", FORMAT);
	put_text(&w, w.doc, "role", role_names[role]);
	put_int(&w, w.doc, "layout", SHM_LAYOUT);
	/* JSON's integers end at 63 bits for some readers */
	put_int(&w, w.doc, "layout_hash", (int64_t)(shm_layout_hash() >> 1));
	doc_set(a, w.doc, "descriptors", w.descriptors);
	return w;
}

static void put_children(struct writer *w, const struct master *m)
{
	struct doc *list = doc_array(w->a);

	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		const struct child *c = &m->children[i];
		struct doc *d;

		if (c->state == CHILD_NONE)
			continue;
		d = doc_object(w->a);
		put_int(w, d, "slot", i);
		put_int(w, d, "pid", c->pid);
		put_text(w, d, "kind", c->kind->name);
		put_int(w, d, "number", c->number);
		put_int(w, d, "started", (int64_t)c->started_mono_ms);
		doc_set(w->a, d, "current",
			doc_bool(c->post != NULL &&
				 c->post->crew == m->crew));
		doc_push(w->a, list, d);
	}
	doc_set(w->a, w->doc, "children", list);
}

static void put_listeners(struct writer *w, const struct listen_set *set)
{
	struct doc *list = doc_array(w->a);

	for (uint32_t i = 0; set != NULL && i < listen_per_worker(set); i++) {
		struct listen_view v = listen_view(set, i);
		struct doc *d = doc_object(w->a), *fds = doc_array(w->a);

		for (uint32_t k = 0; k < v.n_fds; k++)
			doc_push(w->a, fds, descriptor(w, v.fds[k]));
		put_text(w, d, "address", v.address);
		doc_set(w->a, d, "manager", doc_bool(v.manager));
		doc_set(w->a, d, "fds", fds);
		doc_push(w->a, list, d);
	}
	doc_set(w->a, w->doc, "listeners", list);
}

const struct doc *handover_of(struct master *m, enum handover_role role,
			      const char *why, struct tl_arena *a)
{
	struct writer w = begin(a, role);
	struct doc *commits = doc_array(a);

	put_text(&w, w.doc, "why", why);
	put_text(&w, w.doc, "conf_file", m->crew->conf->file);
	put_fd(&w, "conf_fd", m->conf_fd);
	put_fd(&w, "program_fd", m->former_fd);
	put_fd(&w, "lock_fd", m->lock_fd);
	put_fd(&w, "life_read_fd", m->life_pipe[0]);
	put_fd(&w, "life_write_fd", m->life_pipe[1]);
	put_fd(&w, "flusher_eventfd", m->flusher_eventfd);
	put_fd(&w, "task_eventfd", m->task_eventfd);
	put_fd(&w, "control_fd", m->ctl == NULL ? -1 : ctl_server_fd(m->ctl));
	for (uint32_t i = 0; i < m->n_commit_eventfds; i++)
		doc_push(a, commits, descriptor(&w, m->commit_eventfds[i]));
	doc_set(a, w.doc, "commit_eventfds", commits);
	put_int(&w, w.doc, "generation", (int64_t)m->crew->generation);
	put_int(&w, w.doc, "generations", (int64_t)m->generations);
	put_int(&w, w.doc, "started", (int64_t)m->started_mono_ms);
	put_int(&w, w.doc, "upgrades", m->upgrades);
	put_children(&w, m);
	put_listeners(&w, m->crew->listens);
	return w.doc;
}

const struct doc *handover_for_trial(struct master *m, int verdict_fd,
				     struct tl_arena *a)
{
	struct writer w = begin(a, HANDOVER_TRIAL);

	put_text(&w, w.doc, "conf_file", m->crew->conf->file);
	put_fd(&w, "conf_fd", m->conf_fd);
	put_fd(&w, "verdict_fd", verdict_fd);
	put_children(&w, m);
	return w.doc;
}

const struct doc *handover_again(const struct handover *h,
				 enum handover_role role, const char *why,
				 struct tl_arena *a)
{
	struct writer w = { a, doc_object(a), NULL };

	for (uint32_t i = 0; i < h->doc->n; i++)
		doc_set(a, w.doc, h->doc->members[i].name.ptr,
			h->doc->members[i].value);
	put_text(&w, w.doc, "role", role_names[role]);
	put_text(&w, w.doc, "why", why);
	return w.doc;
}

/* ---- over the exec ------------------------------------------------------- */

static void set_close_on_exec(const struct doc *doc, bool on)
{
	const struct doc *list = doc_get(doc, "descriptors");

	for (uint32_t i = 0; list != NULL && i < list->n; i++)
		(void)fcntl((int)list->items[i]->i, F_SETFD,
			    on ? FD_CLOEXEC : 0);
}

static int memory_file(const struct doc *doc, struct tl_err *err)
{
	int fd = memfd_create("tallyd handover", MFD_CLOEXEC);
	struct tl_buf b;

	if (fd < 0) {
		(void)tl_err_sys(err, "make a memory file");
		return -1;
	}
	tl_buf_init(&b);
	doc_write(doc, DOC_JSON, &b);
	if (tl_write_all(fd, b.ptr, b.len, err) != TL_OK) {
		close(fd);
		fd = -1;
	}
	tl_buf_deinit(&b);
	return fd;
}

/* Ours and, for who takes the place, the service manager's words. */
static char **environment(char *variable, bool stays)
{
	char *const *words = sdnotify_words();
	size_t n = 0, more = 0, at = 0;
	char **env;

	while (environ[n] != NULL)
		n++;
	while (words[more] != NULL)
		more++;
	env = tl_alloc_array(n + more + 2, sizeof(*env));
	env[at++] = variable;
	for (size_t i = 0; i < n; i++)
		env[at++] = environ[i];
	for (size_t i = 0; i < more && stays; i++)
		env[at++] = words[i];
	return env;
}

enum tl_status handover_exec(const struct doc *doc, const char *program,
			     char *const *argv, struct tl_err *err)
{
	bool stays = doc_get(doc, "verdict_fd") == NULL;
	int fd = memory_file(doc, err);
	enum tl_status st;
	char variable[40], **env;

	if (fd < 0)
		return TL_SYSTEM;
	snprintf(variable, sizeof(variable), VARIABLE "=%d", fd);
	env = environment(variable, stays);
	(void)fcntl(fd, F_SETFD, 0);
	set_close_on_exec(doc, false);
	execve(program, argv, env);
	st = tl_err_sys(err, "execute '%s'", program);
	set_close_on_exec(doc, true);
	close(fd);
	tl_free(env);
	return st;
}

/* ---- reading ------------------------------------------------------------- */

static int64_t number_of(const struct doc *d, const char *name, int64_t absent)
{
	const struct doc *v = doc_get(d, name);
	int64_t n;

	return v != NULL && doc_is_int(v, INT64_MIN, INT64_MAX, &n) ? n
								    : absent;
}

static int fd_of(const struct doc *d, const char *name)
{
	return (int)number_of(d, name, -1);
}

static const char *text_of(const struct doc *d, const char *name)
{
	const struct doc *v = doc_get(d, name);

	return v != NULL && v->type == DOC_STR ? v->str.ptr : NULL;
}

static bool flag_of(const struct doc *d, const char *name)
{
	const struct doc *v = doc_get(d, name);

	return v != NULL && v->type == DOC_BOOL && v->boolean;
}

static const struct doc *item_of(const struct doc *d, const char *name,
				 uint32_t i)
{
	const struct doc *v = doc_get(d, name);

	return v != NULL && v->type == DOC_ARRAY && i < v->n ? v->items[i]
							     : NULL;
}

static enum tl_status read_object(struct handover *h, int fd,
				  struct tl_err *err)
{
	struct stat sb;
	char *text;

	if (fstat(fd, &sb) < 0 || sb.st_size <= 0 || sb.st_size > BYTES_MAX)
		return tl_err_set(err, TL_INVALID,
				  VARIABLE " names no memory file");
	text = tl_arena_alloc(&h->arena, (size_t)sb.st_size);
	if (tl_pread_all(fd, text, (size_t)sb.st_size, 0, err) != TL_OK)
		return TL_INVALID;
	return doc_parse(&h->arena, DOC_JSON,
			 (struct tl_str){ text, (size_t)sb.st_size }, &h->doc,
			 err);
}

static enum tl_status read_role(struct handover *h, struct tl_err *err)
{
	const char *role = text_of(h->doc, "role");

	if (number_of(h->doc, "format", 0) != FORMAT)
		return tl_err_set(err, TL_VERSION,
				  "the program before hands over in format "
				  "%lld, this one reads %d; stop and start",
				  (long long)number_of(h->doc, "format", 0),
				  FORMAT);
	for (size_t i = 1; i < sizeof(role_names) / sizeof(role_names[0]); i++)
		if (role != NULL && strcmp(role, role_names[i]) == 0)
			h->role = (enum handover_role)i;
	if (h->role == HANDOVER_NONE)
		return tl_err_set(err, TL_VERSION,
				  "the program before asks for '%s', which is "
				  "not known here",
				  role != NULL ? role : "nothing");
	return TL_OK;
}

enum tl_status handover_receive(struct handover **h_r, struct tl_err *err)
{
	const char *number = getenv(VARIABLE);
	struct handover *h;
	enum tl_status st;
	uint64_t fd;

	*h_r = NULL;
	if (number == NULL)
		return TL_OK;
	if (!tl_parse_u64(tl_str_c(number), 3, INT32_MAX, &fd))
		return tl_err_set(err, TL_INVALID,
				  VARIABLE " is no descriptor; unset it");
	unsetenv(VARIABLE);
	h = tl_alloc(sizeof(*h));
	tl_arena_init(&h->arena);
	st = read_object(h, (int)fd, err);
	close((int)fd);
	if (st == TL_OK) {
		h->verdict_fd = fd_of(h->doc, "verdict_fd");
		set_close_on_exec(h->doc, true);
		st = read_role(h, err);
	}
	*h_r = h; /* also then: its verdict can be told */
	if (st != TL_OK && h->doc == NULL)
		handover_free(h_r);
	return st;
}

void handover_free(struct handover **hp)
{
	if (*hp == NULL)
		return;
	tl_arena_deinit(&(*hp)->arena);
	tl_freep(hp);
}

enum tl_status handover_conf(const struct handover *h, struct conf **conf_r,
			     struct tl_err *err)
{
	const char *real = text_of(h->doc, "conf_file");
	struct conf_source source = { NULL, NULL, 0, NULL };
	enum tl_status st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d",
		 fd_of(h->doc, "conf_fd"));
	source.file = path;
	st = conf_load(&source, conf_r, err);
	if (st != TL_OK)
		return tl_err_wrap(err, "the configuration in force");
	tl_freep(&(*conf_r)->file);
	if (real != NULL)
		(*conf_r)->file = tl_strdup(real);
	return TL_OK;
}

enum tl_status handover_check(const struct handover *h, struct tl_err *err)
{
	const struct doc *c;

	for (uint32_t i = 0; (c = item_of(h->doc, "children", i)) != NULL; i++)
		if (text_of(c, "kind") == NULL ||
		    kind_find(text_of(c, "kind")) == NULL)
			return tl_err_set(err, TL_INVALID,
					  "there is a process of the kind "
					  "'%s', which is not known here; stop "
					  "and start",
					  text_of(c, "kind"));
	if (number_of(h->doc, "layout", 0) != SHM_LAYOUT ||
	    number_of(h->doc, "layout_hash", 0) !=
		    (int64_t)(shm_layout_hash() >> 1))
		return tl_err_set(err, TL_VERSION,
				  "the segment has layout %lld, not %d",
				  (long long)number_of(h->doc, "layout", 0),
				  SHM_LAYOUT);
	return TL_OK;
}

bool handover_keeps_conf(const struct handover *h)
{
	return h->role == HANDOVER_FORWARD || h->role == HANDOVER_BACK ||
	       h->role == HANDOVER_BACK_AFRESH;
}

const char *handover_why(const struct handover *h)
{
	const char *why = text_of(h->doc, "why");

	return why != NULL ? why : "the new program gave up";
}

uint32_t handover_layout(const struct handover *h)
{
	return (uint32_t)number_of(h->doc, "layout", 0);
}

int handover_former(const struct handover *h)
{
	return fd_of(h->doc, "program_fd");
}

/* ---- taking over --------------------------------------------------------- */

static enum tl_status adopt_descriptors(const struct handover *h,
					struct master *m, struct tl_err *err)
{
	const struct doc *d = h->doc, *fd;

	m->conf_fd = fd_of(d, "conf_fd");
	m->former_fd = fd_of(d, "program_fd");
	m->lock_fd = fd_of(d, "lock_fd");
	m->life_pipe[0] = fd_of(d, "life_read_fd");
	m->life_pipe[1] = fd_of(d, "life_write_fd");
	m->flusher_eventfd = fd_of(d, "flusher_eventfd");
	m->task_eventfd = fd_of(d, "task_eventfd");
	m->control_fd = fd_of(d, "control_fd");
	for (uint32_t i = 0;
	     i < SHM_SLOTS && (fd = item_of(d, "commit_eventfds", i)) != NULL;
	     i++)
		m->commit_eventfds[m->n_commit_eventfds++] = (int)fd->i;
	if (m->lock_fd < 0 || m->life_pipe[0] < 0 || m->life_pipe[1] < 0 ||
	    m->flusher_eventfd < 0 || m->task_eventfd < 0)
		return tl_err_set(err, TL_INVALID,
				  "a descriptor is missing in what the program "
				  "before handed over");
	return TL_OK;
}

static struct listen_set *adopt_listeners(const struct handover *h)
{
	struct listen_set *set = listen_none();
	const struct doc *d, *fd;

	for (uint32_t i = 0; (d = item_of(h->doc, "listeners", i)) != NULL;
	     i++) {
		struct listen_view v = { .address = text_of(d, "address"),
					 .manager = flag_of(d, "manager") };
		int fds[SHM_SLOTS];

		v.fds = fds;
		while (v.n_fds < SHM_SLOTS &&
		       (fd = item_of(d, "fds", v.n_fds)) != NULL)
			fds[v.n_fds++] = (int)fd->i;
		if (v.address != NULL && v.n_fds > 0)
			listen_add(set, &v);
	}
	return set;
}

static void adopt_child(struct master *m, const struct doc *d)
{
	int64_t slot = number_of(d, "slot", -1);
	struct crew *crew = m->crew;
	struct child *c;

	if (slot <= MASTER_SLOT || slot >= SHM_SLOT_DEPARTED)
		return;
	c = &m->children[slot];
	c->m = m;
	c->state = CHILD_READY;
	c->pid = (pid_t)number_of(d, "pid", 0);
	c->kind = kind_find(text_of(d, "kind"));
	c->number = (uint32_t)number_of(d, "number", 0);
	c->started_mono_ms = (uint64_t)number_of(d, "started", 0);
	c->ready_fd = -1;
	if (!flag_of(d, "current")) { /* it drains for a reload before */
		c->state = CHILD_STOPPING;
		return;
	}
	for (uint32_t i = 0; i < crew->n_posts; i++)
		if (crew->posts[i].kind == c->kind &&
		    crew->posts[i].number == c->number) {
			crew->posts[i].child = c;
			c->post = &crew->posts[i];
		}
}

enum tl_status handover_adopt(const struct handover *h, struct master *m,
			      struct tl_err *err)
{
	enum tl_status st = adopt_descriptors(h, m, err);
	const struct doc *c;

	if (st != TL_OK)
		return st;
	m->started_mono_ms = (uint64_t)number_of(
		h->doc, "started", (int64_t)m->started_mono_ms);
	m->upgrades = (uint32_t)number_of(h->doc, "upgrades", 0);
	m->generations = (uint64_t)number_of(h->doc, "generations", 1);
	m->crew->generation = (uint64_t)number_of(h->doc, "generation", 1);
	m->crew->listens = adopt_listeners(h);
	for (uint32_t i = 0; (c = item_of(h->doc, "children", i)) != NULL; i++)
		adopt_child(m, c);
	return TL_OK;
}
