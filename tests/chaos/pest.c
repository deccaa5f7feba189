/*
 * pest.c - see pest.h.
 */
#include "config.h" /* _GNU_SOURCE */

#include "chaos/pest.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/client.h"

#define SLOW 200

int pest_connect(uint16_t port, unsigned n)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	from.sin_addr.s_addr = htonl(0x7f010001 + n % 65000);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* the port is chosen at connect, or they would run out */
	if (fd >= 0 &&
	    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
		       sizeof(one)) == 0 &&
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void pest_slow(uint16_t port)
{
	static const char *const begins[] = {
		"GET /health HTTP/1.1\r\nHost: a\r\nX-",
		"POST /api/usage/record HTTP/1.1\r\nHost: a\r\n"
		"Content-Length: 1000\r\n\r\n{",
	};
	int fds[SLOW];
	unsigned i;

	for (i = 0; i < SLOW; i++)
		fds[i] = -1;
	for (i = 0;; i = (i + 1) % SLOW) {
		if (fds[i] >= 0 && send(fds[i], "x", 1, MSG_NOSIGNAL) == 1) {
			test_sleep_ms(1);
			continue;
		}
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = pest_connect(port, i);
		if (fds[i] >= 0)
			(void)!send(fds[i], begins[i % 2],
				    strlen(begins[i % 2]), MSG_NOSIGNAL);
		else
			test_sleep_ms(10);
	}
}

/* Half of it begins as a request does. */
void pest_garbage(uint16_t port)
{
	static const char head[] = "GET /api/gate HTTP/1.1\r\nHost: ";
	char bytes[400];
	unsigned n, i;
	int fd;

	for (n = 0;; n++) {
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)rand();
		if (n % 2 == 0)
			memcpy(bytes, head, sizeof(head) - 1);
		fd = pest_connect(port, n);
		if (fd >= 0) {
			(void)!send(fd, bytes,
				    1 + (size_t)rand() % sizeof(bytes),
				    MSG_NOSIGNAL);
			close(fd);
		}
		test_sleep_ms(2);
	}
}
