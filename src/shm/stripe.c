#include "config.h" /* _GNU_SOURCE: pthread_mutex_clocklock */

#include "shm/stripe.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "shm/metrics.h"

#define LOCK_LIMIT_NS 50000000L

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct shm_stripe),
	       "a mutex must fit its stripe");

static pthread_mutex_t *stripe(struct shm *s, uint64_t hash)
{
	/* other bits than the directory's, so neighbours do not collide */
	return (pthread_mutex_t *)(void *)s
		->stripes[(hash >> SHM_STRIPE_SHIFT) % SHM_STRIPES]
		.mutex;
}

void shm_stripes_init(struct shm *s)
{
	pthread_mutexattr_t a;
	uint32_t i;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	for (i = 0; i < SHM_STRIPES; i++)
		pthread_mutex_init((pthread_mutex_t *)(void *)s->stripes[i].mutex,
				   &a);
	pthread_mutexattr_destroy(&a);
}

bool shm_stripe_lock(struct shm *s, uint64_t hash)
{
	pthread_mutex_t *m = stripe(s, hash);
	struct timespec until;
	int rc = pthread_mutex_trylock(m);

	if (rc == EBUSY) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LOCK_LIMIT_NS;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		rc = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until);
	}
	if (rc == EOWNERDEAD)
		rc = pthread_mutex_consistent(m);
	if (rc != 0 && s->my_metrics != NULL)
		shm_count(s, SHM_C_STRIPE_TIMEOUTS, 1);
	return rc == 0;
}

void shm_stripe_unlock(struct shm *s, uint64_t hash)
{
	pthread_mutex_unlock(stripe(s, hash));
}
