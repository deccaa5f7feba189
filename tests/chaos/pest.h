/*
 * pest.h - clients that nobody wants: slow ones and such that send garbage.
 *
 * From many addresses of 127.0.0.0/8.  They do not return: whoever starts one
 * in a process of its own ends that.
 */
#ifndef TALLY_TESTS_PEST_H
#define TALLY_TESTS_PEST_H

#include <stdint.h>

/* A connection from address number n of 127.1.0.0/16; -1: refused. */
int pest_connect(uint16_t port, unsigned n);
void pest_slow(uint16_t port);
void pest_garbage(uint16_t port);

#endif
