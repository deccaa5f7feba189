/*
 * events_routes.c - the route of the stream.
 */
#include "app/events/events.h"

/* clang-format off */
const struct route EVENTS_ROUTES[] = {
	{ .id = "events", .methods = HTTP_GET, .path = "/api/events",
	  .auth = AUTH_KEY, .flags = ROUTE_INLINE | ROUTE_EVENTS,
	  .out = &EVENTS_SHAPE, .handler = events_handle,
	  .summary = "Usage and requests of the caller as they happen "
		     "(server-sent events)" },
	{ .path = NULL },
};
/* clang-format on */
