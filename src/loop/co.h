/*
 * co.h - coroutines on libevent: spawn, wait, wake, sleep, deadline, cancel.
 *
 * One thread per process; a coroutine never moves and never resumes another:
 * only the loop enters one.  Wake-ups are queued and run by one activated
 * event in the same loop pass.  Design and figures: stackful, 64 KiB stack +
 * 64 KiB guard, first entry by makecontext, later switches between
 * sigsetjmp(…, 0) buffers (no system call).
 * Runs in: worker, flusher, later runner and scheduler.
 */
#ifndef TALLY_LOOP_CO_H
#define TALLY_LOOP_CO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/status.h"

struct co;
struct event_base;
struct evdns_base;
typedef void (*co_fn)(void *arg);

#define CO_NO_DEADLINE UINT64_MAX

/* Once per process, after fork.  max: coroutines alive at a time (4096). */
enum tl_status co_init(struct event_base *base, uint32_t max,
		       struct tl_err *err) TL_MUST_CHECK;
void co_deinit(void); /* asserts co_live() == 0 */
struct event_base *co_base(void);

/* From the loop: runs fn until its first wait.  TL_FULL: answer 503. */
enum tl_status co_spawn(co_fn fn, void *arg, uint64_t deadline_mono_ms,
			struct tl_err *err) TL_MUST_CHECK;
struct co *co_self(void); /* NULL on the loop's stack */
/*
 * What the running one is about, for whoever acts on its behalf further down:
 * the context of its trace.  Taken; freed with tl_free at its end, or when
 * another takes its place.  NULL on the loop's stack.
 */
void co_local_take(void *p);
void *co_local(void);
uint64_t co_deadline_mono_ms(void); /* of the running one */
uint64_t co_left_ms(void);	    /* until it; 0 when past */

/*
 * A wait lives on the waiting stack; whoever may wake it later holds a
 * pointer and must not after co_wait returned.
 */
struct co_wait {
	struct co *co;
	bool woken;
};
void co_wait_init(struct co_wait *w); /* bound to the running coroutine */
/*
 * Suspends: yes.  TL_OK woken; TL_DEADLINE, TL_CANCELED are sticky: every
 * later wait returns them at once (but see shields).
 */
enum tl_status co_wait(struct co_wait *w, struct tl_err *err) TL_MUST_CHECK;
/*
 * As co_wait, but comes back with TL_OK at due_mono_ms at the latest; w->woken
 * tells which it was.
 */
enum tl_status co_wait_until(struct co_wait *w, uint64_t due_mono_ms,
			     struct tl_err *err) TL_MUST_CHECK;
void co_wake(struct co_wait *w); /* from anywhere, idempotent, only queues */

enum tl_status co_sleep_ms(uint64_t ms, struct tl_err *err) TL_MUST_CHECK;
/* events: EV_READ | EV_WRITE of libevent. */
enum tl_status co_wait_fd(int fd, short events, struct tl_err *err)
	TL_MUST_CHECK;
/* TL_OK with *ready_r false when due_mono_ms came first. */
enum tl_status co_wait_fd_until(int fd, short events, uint64_t due_mono_ms,
				bool *ready_r, struct tl_err *err)
	TL_MUST_CHECK;

struct co_addr {
	int family; /* AF_INET, AF_INET6 */
	char text[46];
};
/* evdns; at most *n addresses in, found out.  TL_NOT_FOUND, TL_UNAVAILABLE. */
enum tl_status co_resolve(const char *name, struct co_addr *addrs,
			  uint32_t *n, struct tl_err *err) TL_MUST_CHECK;

/*
 * A resolver of its own: these servers ("192.0.2.1", "192.0.2.1:53",
 * "[2001:db8::1]:53") instead of resolv.conf's; the hosts file counts.
 */
struct co_names;
enum tl_status co_names_new(char *const *servers, size_t n,
			    struct co_names **names_r,
			    struct tl_err *err) TL_MUST_CHECK;
void co_names_free(struct co_names **names); /* nobody waits for it */
/*
 * As co_resolve, by `names` (NULL: as co_resolve), and TL_UNAVAILABLE at
 * due_mono_ms at the latest.
 */
enum tl_status co_resolve_until(struct co_names *names, const char *name,
				uint64_t due_mono_ms, struct co_addr *addrs,
				uint32_t *n, struct tl_err *err) TL_MUST_CHECK;

void co_cancel(struct co *co, const char *why);
void co_cancel_all(const char *why);
uint32_t co_live(void);
/* Runs in place of the normal deadline until _end; nests not. */
void co_shield_begin(uint64_t limit_ms);
void co_shield_end(void);
/* Deepest stack use seen, bytes; 0 unless built to paint stacks. */
uint32_t co_stack_high_water(void);

#endif
