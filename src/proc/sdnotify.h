/*
 * sdnotify.h - the words for the service manager (sd_notify(3)).
 *
 * Goes to the datagram socket that NOTIFY_SOCKET names; without one all calls
 * do nothing.  NOTIFY_SOCKET and WATCHDOG_* are taken out of the environment,
 * so that children cannot speak for the master.
 * Runs in: master.  Suspends: no.  Blocks: never (a full socket drops).
 */
#ifndef TALLY_PROC_SDNOTIFY_H
#define TALLY_PROC_SDNOTIFY_H

#include <stdint.h>

#include "base/status.h"

void sdnotify_init(void);
/* What was taken out, "NAME=value" up to NULL: for the environment of a
 * program that takes this one's place. */
char *const *sdnotify_words(void);
void sdnotify_deinit(void);
/* Half of WATCHDOG_USEC: how often to send the watchdog's word; 0 never. */
uint32_t sdnotify_watchdog_ms(void);
void sdnotify_ready(void);
/* The same after an upgrade: which process is the main one. */
void sdnotify_upgraded(void);
void sdnotify_reloading(void);
void sdnotify_stopping(void);
void sdnotify_watchdog(void);
void sdnotify_status(const char *fmt, ...) TL_PRINTF(1, 2);

#endif
