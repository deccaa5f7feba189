/*
 * co_internal.h - what the files of this room share: the coroutine itself,
 * its stack, the switch, the timer heap.  Nobody outside src/loop/ includes it
 * (contrib/gdb/co.py reads the fields by name).
 */
#ifndef TALLY_LOOP_CO_INTERNAL_H
#define TALLY_LOOP_CO_INTERNAL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/co.h"

/*
 * The guard is as wide as the stack: a library built without stack probes can
 * jump over a single page with one large frame.
 */
#define CO_STACK_BYTES	 ((size_t)64 * 1024)
#define CO_GUARD_BYTES	 ((size_t)64 * 1024)
#define CO_STACKS_POOLED 256
#define CO_NOT_IN_HEAP	 UINT32_MAX

#if defined(__SANITIZE_ADDRESS__)
#define CO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CO_ASAN 1
#endif
#endif
#if defined(CO_ASAN)
#define CO_NO_ASAN __attribute__((no_sanitize_address))
#else
#define CO_NO_ASAN
#endif

/*
 * Invariants:
 *  - in exactly one of co_loop.live and co_loop.idle, by `link`.
 *  - wait is set while suspended in a wait and NULL while running or idle.
 *  - in co_loop.ready only while wait is set.
 *  - in the heap while its due time (see co_due in co.c) is finite.
 */
struct co {
	struct tl_list link;
	struct tl_list ready;
	co_fn fn;
	void *arg;
	void *local; /* owned */
	struct co_wait *wait;
	enum tl_status result; /* of the present wait */
	enum tl_status stopped; /* sticky: TL_OK, TL_DEADLINE, TL_CANCELED */
	enum tl_status shield_stopped; /* the same inside a shield */
	bool shielded;
	bool started; /* env holds the place to go on at */
	bool ended;   /* fn returned; the stack waits for its next job */
	uint64_t deadline_mono_ms;
	uint64_t shield_mono_ms;
	uint64_t until_mono_ms; /* of the present wait */
	uint64_t due_mono_ms;	/* key in the heap */
	uint32_t heap_at;
	char why[64]; /* of a cancel */

	char *map; /* guard, then stack */
	char *stack_low;
	unsigned valgrind_id;
	void *fake_stack; /* AddressSanitizer's */
	sigjmp_buf env;
};

struct event;
struct co_loop {
	struct event_base *base;
	struct event *wake_event;
	struct event *timer_event;
	struct evdns_base *dns;
	struct tl_list live, idle, ready;
	struct co *running;
	struct co **heap;
	uint32_t heap_n;
	uint32_t max, n_live, n_idle;
	uint64_t armed_mono_ms; /* the timer event fires then; or never */
};
extern struct co_loop co_loop;

/* co_switch.c; the only two ways between the loop's stack and another. */
void co_switch_enter(struct co *co); /* from the loop */
void co_switch_leave(struct co *co); /* back to it */
void co_run_job(struct co *co);	     /* in co.c: fn, then ended */

/* co_stack.c */
enum tl_status co_stack_map(struct co *co, struct tl_err *err) TL_MUST_CHECK;
void co_stack_unmap(struct co *co);
void co_stack_reuse(struct co *co);   /* before a job on a pooled stack */
void co_stack_measure(struct co *co); /* after a job, where painted */
void co_stack_guard_watch(void);      /* the SIGSEGV handler */
void co_stack_guard_unwatch(void);

/* co_timer.c */
enum tl_status co_timer_init(struct tl_err *err) TL_MUST_CHECK;
void co_timer_deinit(void);
void co_timer_set(struct co *co, uint64_t due_mono_ms);
void co_fire(struct co *co, uint64_t now_mono_ms); /* in co.c: due came */

/* co_resolve.c */
void co_resolve_deinit(void);

#endif
