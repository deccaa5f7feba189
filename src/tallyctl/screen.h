/*
 * screen.h - a page on the terminal, painted over and over.
 *
 * Plain ANSI sequences (ECMA-48) that every terminal of today knows; the page
 * stands on the alternate screen, so what was there before comes back.  The
 * terminal is as it was before after _leave, also when a signal ends us, and
 * while we are stopped with Ctrl-Z.
 * Runs in: tallyctl, one screen a process.
 */
#ifndef TALLY_TALLYCTL_SCREEN_H
#define TALLY_TALLYCTL_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Is there a terminal to read from and to paint on? */
bool screen_there(void);
void screen_enter(void);
void screen_leave(void);
void screen_size(uint32_t *rows_r, uint32_t *columns_r);
/* Lines end in '\n'; what is too long or too much is cut. */
void screen_show(struct tl_str page);
#define SCREEN_BOLD  "\033[1m"
#define SCREEN_PLAIN "\033[m"

enum screen_event {
	SCREEN_TIME,    /* ms have passed */
	SCREEN_REPAINT, /* another size, or we were stopped */
	SCREEN_QUIT,    /* q, Ctrl-C, or a signal */
};
enum screen_event screen_wait(uint32_t ms);

#endif
