/*
 * ready.c - how long a program takes from exec to its first ready answer.
 *
 *	ready PORT COMMAND ARGUMENT...
 *
 * Starts the command, asks /health?ready=1 until the answer is 200, prints
 * the milliseconds between, ends it with SIGTERM and waits.
 */
#include "config.h" /* _GNU_SOURCE */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/client.h"

#define LIMIT_NS 60000000000ull

int main(int argc, char **argv)
{
	struct reply *r = tl_alloc(sizeof(*r));
	struct client *c;
	uint64_t start;
	int status = -1;
	pid_t pid;

	if (argc < 3) {
		fputs("usage: ready PORT COMMAND ARGUMENT...\n", stderr);
		return 2;
	}
	c = client_new((uint16_t)strtoul(argv[1], NULL, 10));
	start = test_mono_ns();
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	do {
		if (waitpid(pid, &status, WNOHANG) == pid ||
		    test_mono_ns() - start > LIMIT_NS) {
			fputs("ready: it did not get ready\n", stderr);
			kill(pid, SIGKILL);
			return 1;
		}
		if (!client_get(c, "/health?ready=1", NULL, r))
			usleep(500);
	} while (r->status != 200);
	printf("%.1f\n", (double)(r->got_mono_ns - start) / 1e6);
	client_free(&c);
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	return status == 0 ? 0 : 1;
}
