/*
 * selftest.h - tasks that do nothing of use, for the tests and the bench of
 * the bus; only with runner.selftest = yes.
 */
#ifndef TALLY_APP_SELFTEST_SELFTEST_H
#define TALLY_APP_SELFTEST_SELFTEST_H

#include "bus/bus.h"

extern const struct task_def SELFTEST_TASKS[];
extern const struct event_def SELFTEST_EVENTS[];

#endif
