#include "app/app.h"

#include "app/admin/admin.h"
#include "app/admin/admin_doctor.h"
#include "app/admin/admin_status.h"
#include "app/admin/admin_tasks.h"
#include "app/admin/admin_tokens.h"
#include "app/cron/cron.h"
#include "app/docs/docs.h"
#include "app/events/events.h"
#include "app/explain/explain.h"
#include "app/gate/gate.h"
#include "app/keys/keys.h"
#include "app/metering/metering.h"
#include "app/pages/pages.h"
#include "app/selftest/selftest.h"
#include "app/system/system.h"
#include "app/webhooks/webhooks.h"

const struct route *const APP_TABLES[] = {
	ADMIN_ROUTES,          ADMIN_DOCTOR_ROUTES, ADMIN_STATUS_ROUTES,
	ADMIN_TASKS_ROUTES,    ADMIN_TOKENS_ROUTES, CRON_ROUTES,
	CRON_TASKS_ROUTES,     DOCS_ROUTES,         EVENTS_ROUTES,
	EXPLAIN_ROUTES,        GATE_ROUTES,         KEYS_ROUTES,
	METERING_ROUTES,       PAGES_ROUTES,        SYSTEM_ROUTES,
	WEBHOOKS_ADMIN_ROUTES, WEBHOOKS_ROUTES,     NULL
};

static const struct task_def *const tasks[] = { SELFTEST_TASKS, WEBHOOKS_TASKS,
						NULL };
static const struct event_def *const events[] = { SELFTEST_EVENTS,
						  WEBHOOKS_EVENTS, NULL };
const struct bus_tables APP_BUS = { .tasks = tasks, .events = events };
