/*
 * admin.h - users, plans, named limits and the audit log, for admins.
 *
 * A change is committed with its audit row, then taken in by the segment, then
 * answered: it is in force in every worker before its reply.  Tokens are in
 * admin_tokens.h.
 * Runs in: worker.  Suspends: yes, all.
 */
#ifndef TALLY_APP_ADMIN_ADMIN_H
#define TALLY_APP_ADMIN_ADMIN_H

#include "http/http.h"

extern const struct route ADMIN_ROUTES[];

#define ADMIN_QUERY_MAX 100 /* characters of q */

/* admin_users.c */
extern const struct shape ADMIN_USER_LIST_SHAPE, ADMIN_USER_SHAPE;
extern const struct shape ADMIN_USER_NEW_SHAPE, ADMIN_USER_CHANGE_SHAPE;
void admin_users_list(struct req *req);
void admin_user_create(struct req *req);
void admin_user_change(struct req *req);

/* admin_plans.c */
extern const struct shape ADMIN_PLAN_SHAPE, ADMIN_PLAN_NEW_SHAPE;
extern const struct shape ADMIN_PLAN_CHANGE_SHAPE;
void admin_plans_list(struct req *req);
void admin_plan_create(struct req *req);
void admin_plan_change(struct req *req);

/* admin_limits.c */
extern const struct shape ADMIN_LIMIT_SHAPE, ADMIN_LIMIT_NEW_SHAPE;
extern const struct shape ADMIN_LIMIT_CHANGE_SHAPE;
void admin_limits_list(struct req *req);
void admin_limit_create(struct req *req);
void admin_limit_change(struct req *req);
void admin_limit_delete(struct req *req);

/* admin_overrides.c */
extern const struct shape ADMIN_OVERRIDE_LIST_SHAPE, ADMIN_OVERRIDE_SHAPE;
extern const struct shape ADMIN_OVERRIDE_SET_SHAPE;
void admin_overrides_list(struct req *req);
void admin_override_set(struct req *req);
void admin_override_remove(struct req *req);

/* admin_logs.c */
extern const struct shape ADMIN_LOG_LIST_SHAPE, ADMIN_LOGS_SHAPE,
	ADMIN_LOGS_HEADERS;
void admin_logs_list(struct req *req);

/* ---- admin.c: what they share ---- */
extern const struct shape ADMIN_CREATED_SHAPE; /* {"id"} */

/* E-mail of the caller, for the audit log.  False: answered. */
bool admin_actor(struct req *req, struct tl_str *actor_r);
/* 201 with Location: base/ID and {"id"}. */
void admin_reply_created(struct req *req, const char *base,
			 const struct tl_uuid *id);
/* 200 with {"updated":true} or {"deleted":true}. */
void admin_reply_flag(struct req *req, const char *name);
/* The change is stored and in force (st TL_OK) or not yet (then answered:
 * false). */
bool admin_in_force(struct req *req, enum tl_status st,
		    const struct tl_err *err);
/* st: outcome of making or renaming something whose `what` is taken. */
void admin_fail_taken(struct req *req, enum tl_status st,
		      const struct tl_err *err, const char *what,
		      struct tl_str value);

#endif
