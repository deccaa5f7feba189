/*
 * supervise.c - who should live and who does: spawn, ready, death, back-off.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/backoff.h"
#include "proc/master.h"
#include "shm/metrics.h"

#define STUCK_MS 5000
#define SLOT_MS  100 /* between looks for a free one */

const struct proc_kind *kind_find(const char *name)
{
	for (const struct proc_kind *k = PROC_KINDS; k->name != NULL; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

/* ---- a child's life ------------------------------------------------------ */

static uint32_t slot_of(const struct child *c)
{
	return (uint32_t)(c - c->m->children);
}

static void child_hush(struct child *c)
{
	if (c->ready_event != NULL)
		event_free(c->ready_event);
	c->ready_event = NULL;
	if (c->ready_fd >= 0)
		close(c->ready_fd);
	c->ready_fd = -1;
}

/* "R": it is ready.  "E" and words: it is not going to be. */
static void on_told(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	char text[480];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	(void)what;
	if (n < 0 && errno == EAGAIN)
		return;
	child_hush(c);
	if (n <= 0)
		return; /* it died; waitpid says how */
	text[n] = '\0';
	if (text[0] != 'R') {
		snprintf(c->why, sizeof(c->why), "%s", text + 1);
		return;
	}
	if (c->state == CHILD_STARTING)
		c->state = CHILD_READY;
	if (c->post != NULL)
		c->post->failed_starts = 0;
	log_debug("%s %u is ready after %llu ms", c->kind->name, c->number,
		  (unsigned long long)(tl_mono_ms() - c->started_mono_ms));
}

static struct child *free_slot(struct master *m)
{
	for (uint32_t i = MASTER_SLOT + 1; i < SHM_SLOT_DEPARTED; i++)
		if (m->children[i].state == CHILD_NONE)
			return &m->children[i];
	return NULL;
}

/* A worker's answers that wait for a commit are woken through its slot's. */
static enum tl_status eventfds_upto(struct master *m, uint32_t n,
				    struct tl_err *err)
{
	for (; m->n_commit_eventfds < n; m->n_commit_eventfds++) {
		int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

		if (fd < 0)
			return tl_err_sys(err, "make an eventfd");
		m->commit_eventfds[m->n_commit_eventfds] = fd;
	}
	return TL_OK;
}

static void post_later(struct post *post);

static void post_again(struct post *post)
{
	struct timeval tv = backoff_timeval(SLOT_MS);

	evtimer_add(post->timer, &tv);
}

static void post_spawn(struct post *post)
{
	struct master *m = post->crew->m;
	struct child *c;
	struct tl_err err;

	if (m->hold || post->child != NULL)
		return;
	c = free_slot(m);
	if (c == NULL) { /* those that drain hold them all */
		post_again(post);
		return;
	}
	memset(c, 0, sizeof(*c));
	c->m = m;
	c->kind = post->kind;
	c->number = post->number;
	c->fresh = true;
	c->started_mono_ms = tl_mono_ms();
	if (eventfds_upto(m, slot_of(c) + 1, &err) != TL_OK ||
	    spawn(m, post, slot_of(c), &c->pid, &c->ready_fd, &err) != TL_OK) {
		log_error("start of %s %u failed: %s", post->kind->name,
			  post->number, err.text);
		post_later(post);
		return;
	}
	c->state = CHILD_STARTING;
	c->post = post;
	post->child = c;
	c->ready_event = event_new(m->base, c->ready_fd, EV_READ | EV_PERSIST,
				   on_told, c);
	event_add(c->ready_event, NULL);
}

static void on_post_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	post_spawn(arg);
}

static void post_later(struct post *post)
{
	uint32_t wait_ms = backoff_delay_ms(post->short_lives++);
	struct timeval tv = backoff_timeval(wait_ms);

	if (wait_ms > 0)
		log_warn("%s %u starts again in %u ms", post->kind->name,
			 post->number, wait_ms);
	evtimer_add(post->timer, &tv);
}

/* Its process is dead: again, later, or is this the end of the start? */
static void post_bereaved(struct post *post, const struct child *c)
{
	struct crew *crew = post->crew;

	post->child = NULL;
	if (crew->m->stop != STOP_NO || crew->m->hold || crew->failed)
		return;
	if (backoff_lived(c->started_mono_ms, tl_mono_ms()))
		post->short_lives = 0;
	if (c->state == CHILD_STARTING)
		post->failed_starts++;
	if (!crew->serving && post->failed_starts >= START_TRIES) {
		crew->failed = true;
		snprintf(crew->why, sizeof(crew->why),
			 "%s %u died %d times before it was ready%s%s",
			 c->kind->name, c->number, START_TRIES,
			 c->why[0] != '\0' ? ": " : "", c->why);
		return;
	}
	shm_count(crew->m->shm, SHM_C_RESPAWNS, 1);
	post_later(post);
}

static bool is_crash(int status)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	return sig == SIGSEGV || sig == SIGBUS || sig == SIGABRT ||
	       sig == SIGILL;
}

static void log_death(const struct child *c, int status)
{
	const char *kind = c->kind->name;
	bool starting = c->post != NULL && !c->post->crew->serving;
	long pid = (long)c->pid;

	if (c->state == CHILD_STOPPING && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0)
		log_debug("%s %u, process %ld, stopped", kind, c->number, pid);
	else if (WIFSIGNALED(status))
		log_error("%s %u, process %ld, was killed by signal %d (%s)",
			  kind, c->number, pid, WTERMSIG(status),
			  strsignal(WTERMSIG(status)));
	else if (c->why[0] != '\0') /* in a start the end says it, once */
		log_at(starting ? LOG_LV_DEBUG : LOG_LV_ERROR,
		       "%s %u did not start: %s", kind, c->number, c->why);
	else
		log_error("%s %u, process %ld, ended with status %d", kind,
			  c->number, pid, WEXITSTATUS(status));
}

/* The living ones take the claims of the dead one back. */
static void tell_runners(struct master *m)
{
	uint64_t one = 1;

	atomic_fetch_add(&m->shm->head->task_deaths, 1);
	(void)!write(m->task_eventfd, &one, sizeof(one));
}

/*
 * A task that is out of time ends at its next wait.  One that does not wait
 * for so long after that holds up its whole runner: neither timers nor the
 * heartbeat run there any more.
 */
void children_watch(struct master *m)
{
	uint64_t now_mono_ms = tl_mono_ms();

	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		const struct child *c = &m->children[i];
		const struct shm_slot *s = &m->shm->slots[i];
		uint64_t due_mono_ms, beat_mono_ms;

		if (c->state == CHILD_NONE || !c->kind->runs_tasks)
			continue;
		due_mono_ms = atomic_load(&s->task_due_mono_ms);
		beat_mono_ms = atomic_load(&s->beat_mono_ms);
		if (due_mono_ms == 0 ||
		    now_mono_ms < due_mono_ms + STUCK_MS ||
		    now_mono_ms < beat_mono_ms + STUCK_MS)
			continue;
		log_error("a task of %s %u, process %ld, is out of time and "
			  "does not end; killing the runner",
			  c->kind->name, c->number, (long)c->pid);
		kill(c->pid, SIGKILL);
	}
}

bool child_reaped(struct master *m, pid_t pid, int status)
{
	struct child *c = NULL;
	struct post *post;

	for (uint32_t i = 0; i < SHM_SLOTS && c == NULL; i++)
		if (m->children[i].state != CHILD_NONE &&
		    m->children[i].pid == pid)
			c = &m->children[i];
	if (c == NULL)
		return false;
	if (c->ready_fd >= 0) /* its last words */
		on_told(c->ready_fd, EV_READ, c);
	child_hush(c);
	log_death(c, status);
	shm_slot_reap(m->shm, slot_of(c));
	if (c->kind->runs_tasks)
		tell_runners(m);
	if (is_crash(status) && m->crew != NULL && m->stop == STOP_NO) {
		m->crash_wanted = true;
		/* a start goes on first: the others of a kind may be serving
		 * already, and a kind that always crashes ends it */
		m->hold = m->crew->serving;
	}
	if (WIFSIGNALED(status) && m->stop != STOP_NO) {
		m->killed_one = true;
		m->flusher_killed |= c->kind == kind_find("flusher");
	}
	post = c->post;
	if (post != NULL)
		post_bereaved(post, c);
	c->state = CHILD_NONE;
	return true;
}

/* ---- crews --------------------------------------------------------------- */

struct crew *crew_new(struct master *m, struct conf *conf,
		      struct listen_set *listens)
{
	struct crew *crew = tl_alloc(sizeof(*crew));
	const struct proc_kind *k;
	uint32_t n = 0;

	crew->m = m;
	crew->generation = ++m->generations;
	crew->conf = conf;
	crew->listens = listens;
	for (k = PROC_KINDS; k->name != NULL; k++)
		crew->n_posts += k->count(conf);
	crew->posts = tl_alloc_array(crew->n_posts, sizeof(*crew->posts));
	for (k = PROC_KINDS; k->name != NULL; k++)
		for (uint32_t i = 0; i < k->count(conf); i++) {
			struct post *post = &crew->posts[n++];

			post->crew = crew;
			post->kind = k;
			post->number = i;
			post->timer = evtimer_new(m->base, on_post_timer, post);
		}
	return crew;
}

void crew_free(struct crew **crewp, const struct listen_set *still)
{
	struct crew *crew = *crewp;

	if (crew == NULL)
		return;
	for (uint32_t i = 0; i < crew->n_posts; i++) {
		event_free(crew->posts[i].timer);
		if (crew->posts[i].child != NULL)
			crew->posts[i].child->post = NULL;
	}
	listen_free(&crew->listens, still);
	conf_free(&crew->conf);
	tl_free(crew->posts);
	tl_freep(crewp);
}

void crew_spawn(struct crew *crew, const struct proc_kind *kind)
{
	struct tl_err err;
	/* As many again for the next reload: the flusher should know them
	 * all before the workers come. */
	uint32_t slots = 2 * crew->n_posts + 1;

	if (slots > SHM_SLOT_DEPARTED)
		slots = SHM_SLOT_DEPARTED;
	if (eventfds_upto(crew->m, slots, &err) != TL_OK)
		log_error("%s", err.text);
	for (uint32_t i = 0; i < crew->n_posts; i++) {
		struct post *post = &crew->posts[i];

		if ((kind == NULL || post->kind == kind) &&
		    !evtimer_pending(post->timer, NULL))
			post_spawn(post);
	}
}

void crew_revive(struct crew *crew, const struct proc_kind *kind)
{
	for (uint32_t i = 0; i < crew->n_posts; i++)
		if (crew->posts[i].kind == kind)
			evtimer_del(crew->posts[i].timer);
	crew_spawn(crew, kind);
}

bool crew_ready(const struct crew *crew, const struct proc_kind *kind)
{
	for (uint32_t i = 0; i < crew->n_posts; i++) {
		const struct post *post = &crew->posts[i];

		if (kind != NULL && post->kind != kind)
			continue;
		if (post->child == NULL || post->child->state != CHILD_READY)
			return false;
	}
	return true;
}

/* ---- stopping ------------------------------------------------------------ */

void child_signal(struct child *c, int sig)
{
	if (sig != SIGUSR1)
		c->state = CHILD_STOPPING;
	kill(c->pid, sig);
}

static bool has_rank(const struct child *c, unsigned rank)
{
	return c->state != CHILD_NONE && c->kind->stop_rank == rank;
}

unsigned children_signal(struct master *m, unsigned rank, int sig)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < SHM_SLOTS; i++)
		if (has_rank(&m->children[i], rank)) {
			child_signal(&m->children[i], sig);
			n++;
		}
	return n;
}

unsigned children_alive(const struct master *m, unsigned rank)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < SHM_SLOTS; i++)
		n += has_rank(&m->children[i], rank);
	return n;
}

unsigned children_strange(struct master *m, int sig)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		struct child *c = &m->children[i];

		if (c->state == CHILD_NONE || !c->fresh ||
		    (c->post != NULL && c->post->crew == m->crew))
			continue;
		if (sig != 0)
			child_signal(c, sig);
		n++;
	}
	return n;
}

void children_stop(struct master *m, unsigned rank, int sig, uint32_t limit_ms)
{
	uint64_t due_mono_ms = tl_mono_ms() + limit_ms;
	unsigned asked = m->stop_signals;

	children_signal(m, rank, sig);
	while (children_alive(m, rank) > 0) {
		master_turn(m, due_mono_ms);
		if (m->stop_signals > asked) { /* the operator hurries */
			asked = m->stop_signals;
			children_signal(m, rank, SIGTERM);
			due_mono_ms = tl_mono_ms() + 500;
		}
		if (tl_mono_ms() >= due_mono_ms) {
			log_warn("%u processes did not stop in time; killing "
				 "them",
				 children_alive(m, rank));
			children_signal(m, rank, SIGKILL);
			due_mono_ms = tl_mono_ms() + 1000;
		}
	}
}
