/*
 * cron.h - the routes of jobs, for admins and for programs with cron.token.
 */
#ifndef TALLY_APP_CRON_CRON_H
#define TALLY_APP_CRON_CRON_H

#include "http/http.h"

extern const struct route CRON_ROUTES[], CRON_TASKS_ROUTES[];

/* What GET /metrics shows of jobs. */
void cron_metrics(const struct shm *s, struct tl_buf *b);

#endif
