/*
 * backoff.h - how long to wait before something that died is started again.
 *
 * 0, 0.1, 1, then 5 s; what lived for a second starts at once.
 * Runs in: master.  Suspends: no.
 */
#ifndef TALLY_PROC_BACKOFF_H
#define TALLY_PROC_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

static inline uint32_t backoff_delay_ms(unsigned short_lives)
{
	static const uint32_t delays_ms[] = { 0, 100, 1000, 5000 };

	return delays_ms[short_lives < 3 ? short_lives : 3];
}
static inline bool backoff_lived(uint64_t started_mono_ms, uint64_t now_mono_ms)
{
	return now_mono_ms - started_mono_ms >= 1000;
}
static inline struct timeval backoff_timeval(uint32_t ms)
{
	return (struct timeval){ .tv_sec = ms / 1000,
				 .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
}

#endif
