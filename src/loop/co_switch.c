/*
 * co_switch.c - the jump between the loop's stack and a coroutine's.
 *
 * sigsetjmp(…, 0) saves no signal mask and so costs no system call, which is
 * nine tenths of swapcontext.  A fortified longjmp aborts when it jumps "down"
 * ("longjmp causes uninitialized stack frame"), which is what a switch looks
 * like, so this one file turns fortification off before its first include.
 */
#undef _FORTIFY_SOURCE
#include "loop/co_internal.h"

#include <setjmp.h>
#include <ucontext.h>

#if defined(CO_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include "base/status.h"

static sigjmp_buf loop_env;
static struct co *entering;
#if defined(CO_ASAN)
static void *loop_fake_stack;
static const void *loop_bottom;
static size_t loop_bytes;
#endif

/* A stack, once entered, loops for its next job: makecontext runs once. */
CO_NO_ASAN static void stack_main(void)
{
	struct co *co = entering;

#if defined(CO_ASAN)
	__sanitizer_finish_switch_fiber(NULL, &loop_bottom, &loop_bytes);
#endif
	for (;;) {
		co_run_job(co);
		co_switch_leave(co);
	}
}

/* One context will do: it is used up as soon as it was made. */
CO_NO_ASAN static void enter_first(struct co *co)
{
	static ucontext_t first;

	tl_assert(getcontext(&first) == 0);
	first.uc_stack.ss_sp = co->stack_low;
	first.uc_stack.ss_size = CO_STACK_BYTES;
	first.uc_link = NULL;
	makecontext(&first, stack_main, 0);
	co->started = true;
	entering = co;
	setcontext(&first);
	tl_assert(!"setcontext came back");
}

CO_NO_ASAN __attribute__((noinline)) void co_switch_enter(struct co *co)
{
	if (sigsetjmp(loop_env, 0) == 0) {
#if defined(CO_ASAN)
		__sanitizer_start_switch_fiber(&loop_fake_stack, co->stack_low,
					       CO_STACK_BYTES);
#endif
		if (co->started)
			siglongjmp(co->env, 1);
		enter_first(co);
	}
#if defined(CO_ASAN)
	__sanitizer_finish_switch_fiber(loop_fake_stack, NULL, NULL);
#endif
}

CO_NO_ASAN __attribute__((noinline)) void co_switch_leave(struct co *co)
{
	if (sigsetjmp(co->env, 0) == 0) {
#if defined(CO_ASAN)
		/* NULL ends the fake stack: a pooled stack holds no frames. */
		__sanitizer_start_switch_fiber(co->ended ? NULL
							 : &co->fake_stack,
					       loop_bottom, loop_bytes);
		if (co->ended)
			co->fake_stack = NULL;
#endif
		siglongjmp(loop_env, 1);
	}
#if defined(CO_ASAN)
	__sanitizer_finish_switch_fiber(co->fake_stack, &loop_bottom,
					&loop_bytes);
#endif
}
