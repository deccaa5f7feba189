/*
 * cmd_top.c - top: what the daemon does now, again and again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tallyctl/screen.h"
#include "tallyctl/tallyctl.h"
#include "tallyctl/top.h"
#include "tallyctl/top_queues.h"

#define INTERVAL_DEFAULT 2
#define INTERVAL_MAX     3600
#define FIRST_MS         500 /* on a terminal the first page comes soon */
#define STEP_MS          100 /* how often the ring is read */
#define PAGE_ROWS        50  /* where there is no terminal to fill */

struct top {
	struct tallyctl *t;
	struct shm *shm;
	struct top_queues *queues;
	struct busy busy;
	struct top_sample from, to;
	uint32_t interval_ms;
	uint64_t left; /* pages to show; UINT64_MAX: until somebody ends it */
	bool screen, bold;
	struct tl_buf page; /* as it was shown last */
};

static void begin(struct top *top)
{
	busy_attach(&top->busy, top->shm);
	top_sample_take(top->shm, &top->from);
}

static void show(struct top *top)
{
	uint32_t rows = PAGE_ROWS, columns;
	const struct doc *d;
	struct tl_arena a;

	tl_arena_init(&a);
	top_sample_take(top->shm, &top->to);
	d = top_doc(top->shm, top->t->conf, &top->from, &top->to, &top->busy,
		    top_queues_doc(top->queues, &a), &a);
	if (top->screen)
		screen_size(&rows, &columns);
	tl_buf_reset(&top->page);
	if (top->t->json) {
		print_json(d);
	} else {
		top_page(d, rows, top->bold, &a, &top->page);
		if (top->screen) {
			screen_show(tl_buf_str(&top->page));
		} else {
			(void)puts(top->page.ptr);
			(void)fflush(stdout);
		}
	}
	tl_arena_deinit(&a);
	top->from = top->to;
	busy_reset(&top->busy);
	if (top->left != UINT64_MAX)
		top->left--;
}

/* False: to quit. */
static bool wait_interval(struct top *top, uint64_t ms)
{
	uint64_t due_mono_ms = tl_mono_ms() + ms, now;

	while ((now = tl_mono_ms()) < due_mono_ms) {
		uint64_t left = due_mono_ms - now;

		left = left < STEP_MS ? left : STEP_MS;
		if (!top->screen) {
			top_queues_turn(top->queues, (uint32_t)left);
		} else {
			top_queues_turn(top->queues, 0);
			switch (screen_wait((uint32_t)left)) {
			case SCREEN_QUIT:
				return false;
			case SCREEN_REPAINT:
				screen_show(tl_buf_str(&top->page));
				break;
			case SCREEN_TIME:
				break;
			}
		}
		busy_read(&top->busy);
	}
	return true;
}

static void run(struct top *top)
{
	uint64_t ms = top->interval_ms;

	if (top->screen && ms > FIRST_MS)
		ms = FIRST_MS;
	while (top->left > 0 && wait_interval(top, ms)) {
		if (segment_reopen(top->t, &top->shm))
			begin(top); /* nothing to compare with yet */
		else
			show(top);
		ms = top->interval_ms;
	}
}

static enum exit_status open_and_run(struct top *top)
{
	struct tallyctl *t = top->t;
	enum exit_status ex = segment_open(t, &top->shm);

	if (ex != EXIT_OK)
		return ex;
	top->screen = !t->json && !ctl_flag(t->args, "once") && screen_there();
	top->bold = top->screen && getenv("NO_COLOR") == NULL;
	tl_buf_init(&top->page);
	busy_init(&top->busy);
	top->queues = top_queues_start(t);
	begin(top);
	if (top->screen)
		screen_enter();
	run(top);
	if (top->screen)
		screen_leave();
	top_queues_stop(&top->queues);
	busy_deinit(&top->busy);
	tl_buf_deinit(&top->page);
	shm_close(&top->shm);
	return EXIT_OK;
}

enum exit_status cmd_top(struct tallyctl *t)
{
	int64_t interval = ctl_number(t->args, "interval", INTERVAL_DEFAULT);
	int64_t pages = ctl_number(t->args, "count", -1);
	struct top *top; /* its samples are large */
	enum exit_status ex;

	if (interval < 1 || interval > INTERVAL_MAX)
		return complain(EXIT_USAGE, "--interval must be 1 to %d",
				INTERVAL_MAX);
	if (pages == 0)
		return complain(EXIT_USAGE, "--count must be at least 1");
	top = tl_alloc(sizeof(*top));
	top->t = t;
	top->interval_ms = (uint32_t)interval * 1000;
	top->left = pages > 0 ? (uint64_t)pages : UINT64_MAX;
	if (ctl_flag(t->args, "once"))
		top->left = 1;
	ex = open_and_run(top);
	tl_free(top);
	return ex;
}
