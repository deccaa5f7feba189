/*
 * co_stack.c - stacks with guards, and a name for the fault in a guard.
 *
 * Without the SIGSEGV handler an overflow is a silent exit with 139: the
 * kernel can not even push the frame of a normal handler.  So it runs on an
 * alternate stack, says what happened, and lets the fault happen again under
 * the handler that was there before (core dump, or AddressSanitizer's).
 */
#include "config.h"

#include "loop/co_internal.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(CO_ASAN)
#include <sanitizer/asan_interface.h>
#endif
#if defined(HAVE_VALGRIND_VALGRIND_H)
#include <valgrind/valgrind.h>
#endif

/* Painting makes every page of every stack resident: not for production. */
#if defined(TALLY_SANITIZERS) || defined(DEBUG)
#define CO_PAINT 1
#else
#define CO_PAINT 0
#endif
#define CO_PAINT_WORD  UINT64_C(0xA5A5A5A5A5A5A5A5)
#define ALT_STACK_SIZE ((size_t)64 * 1024)

static struct sigaction old_action;
static void *alt_stack; /* NULL: somebody else's is in use */
static uint32_t high_water;

static void paint(struct co *co)
{
	if (CO_PAINT)
		memset(co->stack_low, CO_PAINT_WORD & 0xff, CO_STACK_BYTES);
}

/* Reads below live frames, where AddressSanitizer keeps its red zones. */
CO_NO_ASAN void co_stack_measure(struct co *co)
{
	const uint64_t *low = (const uint64_t *)(void *)co->stack_low;
	size_t unused = 0;

	if (!CO_PAINT)
		return;
	while (unused < CO_STACK_BYTES && *low++ == CO_PAINT_WORD)
		unused += sizeof(*low);
	if (CO_STACK_BYTES - unused > high_water)
		high_water = (uint32_t)(CO_STACK_BYTES - unused);
}

uint32_t co_stack_high_water(void)
{
	return high_water;
}

enum tl_status co_stack_map(struct co *co, struct tl_err *err)
{
	char *map = mmap(NULL, CO_GUARD_BYTES + CO_STACK_BYTES, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return tl_err_sys(err, "map a coroutine's stack");
	if (mprotect(map + CO_GUARD_BYTES, CO_STACK_BYTES,
		     PROT_READ | PROT_WRITE) < 0) {
		enum tl_status st = tl_err_sys(err, "open a coroutine's stack");

		munmap(map, CO_GUARD_BYTES + CO_STACK_BYTES);
		return st;
	}
	co->map = map;
	co->stack_low = map + CO_GUARD_BYTES;
#if defined(HAVE_VALGRIND_VALGRIND_H)
	co->valgrind_id = VALGRIND_STACK_REGISTER(
		co->stack_low, co->stack_low + CO_STACK_BYTES);
#endif
	paint(co);
	return TL_OK;
}

void co_stack_unmap(struct co *co)
{
#if defined(HAVE_VALGRIND_VALGRIND_H)
	VALGRIND_STACK_DEREGISTER(co->valgrind_id);
#endif
	co_stack_reuse(co);
	munmap(co->map, CO_GUARD_BYTES + CO_STACK_BYTES);
}

/* A job that left by siglongjmp's back door leaves red zones behind. */
void co_stack_reuse(struct co *co)
{
#if defined(CO_ASAN)
	__asan_unpoison_memory_region(co->stack_low, CO_STACK_BYTES);
#else
	(void)co;
#endif
}

static bool in_guard_of(struct tl_list *head, const char *addr)
{
	struct tl_list *pos;

	for (pos = head->next; pos != head; pos = pos->next) {
		const struct co *co = TL_CONTAINER(pos, struct co, link);

		if (addr >= co->map && addr < co->stack_low)
			return true;
	}
	return false;
}

/* Only async-signal-safe calls; the fault repeats when this returns. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
	static const char words[] = "stack overflow in coroutine\n";

	(void)context;
	if (in_guard_of(&co_loop.live, info->si_addr) ||
	    in_guard_of(&co_loop.idle, info->si_addr)) {
		ssize_t n = write(STDERR_FILENO, words, sizeof(words) - 1);

		(void)n; /* nobody left to tell */
	}
	sigaction(signo, &old_action, NULL);
	/* Sent by kill(2), not a fault: it would not come again by itself. */
	if (info->si_code <= 0)
		raise(signo);
}

void co_stack_guard_watch(void)
{
	struct sigaction action = { .sa_sigaction = on_fault };
	stack_t now, alt = { .ss_size = ALT_STACK_SIZE };

	if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) != 0) {
		alt_stack = mmap(NULL, ALT_STACK_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (alt_stack == MAP_FAILED) {
			alt_stack = NULL;
			return; /* an overflow will be silent, no worse */
		}
		alt.ss_sp = alt_stack;
		sigaltstack(&alt, NULL);
	}
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&action.sa_mask);
	sigaction(SIGSEGV, &action, &old_action);
}

void co_stack_guard_unwatch(void)
{
	struct sigaction now;
	stack_t off = { .ss_flags = SS_DISABLE };

	if (sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == on_fault)
		sigaction(SIGSEGV, &old_action, NULL);
	if (alt_stack == NULL)
		return;
	sigaltstack(&off, NULL);
	munmap(alt_stack, ALT_STACK_SIZE);
	alt_stack = NULL;
}
