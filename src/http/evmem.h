/*
 * evmem.h - memory for libevent from free lists by size.
 *
 * evhttp takes and gives back some thirty small pieces a request; with the
 * C library's allocator that is a sixth of a gate request's instructions.
 * Pieces up to 1 KiB come from lists of one size each and never go back to
 * the system (the lists are as long as the busiest moment was); larger ones
 * pass through.  One thread.  Sanitizer builds keep the checked allocator.
 * Runs in: all processes, once, before the first call of libevent.
 */
#ifndef TALLY_HTTP_EVMEM_H
#define TALLY_HTTP_EVMEM_H

void http_evmem_install(void);

#endif
