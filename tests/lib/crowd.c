#include "config.h" /* _GNU_SOURCE */

#include "lib/crowd.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/world.h"

static void *shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		world_die("mmap: %s", strerror(errno));
	return p;
}

struct crowd *crowd_start(unsigned n, crowd_fn fn, void *arg)
{
	struct crowd *w = tl_alloc(sizeof(*w));
	unsigned i;

	w->n = n;
	w->logs = shared(n * sizeof(*w->logs));
	w->stop = shared(sizeof(*w->stop));
	for (i = 0; i < n; i++) {
		w->pids[i] = fork();
		if (w->pids[i] < 0)
			world_die("fork: %s", strerror(errno));
		if (w->pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			fn(w, i, arg);
			_exit(0);
		}
	}
	return w;
}

void crowd_note(struct crowd *w, unsigned number, uint64_t sent_mono_ns,
		uint64_t got_mono_ns, int status, int tag)
{
	struct crowd_log *log = &w->logs[number];
	uint32_t n = atomic_load(&log->n);

	if (n >= CROWD_NOTES_MAX)
		world_die("a client made more than %d notes", CROWD_NOTES_MAX);
	log->notes[n] =
		(struct crowd_note){ sent_mono_ns, got_mono_ns, status, tag };
	atomic_store(&log->n, n + 1);
}

bool crowd_stopped(const struct crowd *w)
{
	return atomic_load(w->stop) != 0;
}

void crowd_wait(struct crowd *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++) {
		if (w->pids[i] > 0)
			waitpid(w->pids[i], NULL, 0);
		w->pids[i] = 0;
	}
}

void crowd_stop(struct crowd *w)
{
	atomic_store(w->stop, 1);
	crowd_wait(w);
}

void crowd_free(struct crowd **w)
{
	if (*w == NULL)
		return;
	crowd_stop(*w);
	munmap((*w)->logs, (*w)->n * sizeof(*(*w)->logs));
	munmap((*w)->stop, sizeof(*(*w)->stop));
	tl_freep(w);
}

uint64_t crowd_count(const struct crowd *w, int status, int tag)
{
	uint64_t count = 0;
	uint32_t i, k;

	for (i = 0; i < w->n; i++)
		for (k = 0; k < atomic_load(&w->logs[i].n); k++)
			count += w->logs[i].notes[k].status == status &&
				 (tag == -1 || w->logs[i].notes[k].tag == tag);
	return count;
}

static int by_sent(const void *a, const void *b)
{
	const struct crowd_note *x = a, *y = b;

	return (x->sent_mono_ns > y->sent_mono_ns) -
	       (x->sent_mono_ns < y->sent_mono_ns);
}

uint64_t crowd_worst_window(const struct crowd *w, uint64_t window_ns)
{
	size_t n = 0, total = crowd_count(w, 200, -1), i, k;
	struct crowd_note *all = tl_alloc_array(total + 1, sizeof(*all));
	uint64_t worst = 0, inside, end;

	for (i = 0; i < w->n; i++)
		for (k = 0; k < atomic_load(&w->logs[i].n) && n < total; k++)
			if (w->logs[i].notes[k].status == 200)
				all[n++] = w->logs[i].notes[k];
	qsort(all, n, sizeof(*all), by_sent);
	/* A worst interval can be moved until it begins with a send. */
	for (i = 0; i < n; i++) {
		end = all[i].sent_mono_ns + window_ns;
		inside = 0;
		for (k = i; k < n && all[k].sent_mono_ns <= end; k++)
			inside += all[k].got_mono_ns <= end;
		if (inside > worst)
			worst = inside;
	}
	tl_free(all);
	return worst;
}
