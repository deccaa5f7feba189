/*
 * ctl.h - the control socket: one table of commands, frames, both ends.
 *
 * <state_dir>/ctl.sock, mode 0600; peers other than root and the daemon's
 * own user are refused.  A frame is a length (32 bits, little-endian, at most
 * CTL_FRAME_MAX) and one JSON document:
 *   {"cmd":"stop","args":{"graceful":true}}
 *   {"ok":true,"result":{...}}
 *   {"ok":false,"error":{"code":"invalid","message":"..."}}
 * A connection carries one command after another.  Socket paths may be
 * longer than the 107 bytes of sun_path.
 * Server: master, on its event base, never blocks.  Client: tallyctl, blocks.
 */
#ifndef TALLY_CTL_CTL_H
#define TALLY_CTL_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"
#include "codec/doc.h"

struct event_base;

#define CTL_SOCKET_NAME "ctl.sock"
#define CTL_FRAME_MAX	(1u << 20)
#define CTL_CLIENTS_MAX 16
#define CTL_IDLE_MS	10000 /* a peer that sends nothing is closed */

/* ---- the commands ---- */

enum ctl_arg_kind {
	CTL_ARG_WORD,	  /* NAME, by place */
	CTL_ARG_OPTIONAL, /* [NAME], by place */
	CTL_ARG_REST,	  /* [NAME ...], all that is left; array of strings */
	CTL_ARG_TEXT,	  /* --name VALUE */
	CTL_ARG_NUMBER,	  /* --name N, 0 to 2^31-1 */
	CTL_ARG_FLAG,	  /* --name */
};
struct ctl_arg { /* tables end with .name NULL */
	const char *name; /* member of "args"; as option: --with-dashes */
	enum ctl_arg_kind kind;
	const char *value; /* word for the value in usage texts */
	bool required;	   /* an option that must be given */
	const char *doc;
};
enum ctl_needs {
	CTL_DAEMON,   /* goes over the socket */
	CTL_SEGMENT,  /* maps the segment; works when the daemon is dead */
	CTL_DATABASE, /* talks to PostgreSQL itself */
	CTL_SETTINGS, /* reads the settings, of `file` when it is given */
	CTL_NOTHING,
};
struct ctl_command { /* the table ends with .name NULL */
	const char *name; /* "status", "key create" */
	const struct ctl_arg *args; /* NULL: none */
	const char *summary;
	enum ctl_needs needs;
	bool served; /* the daemon answers it over the socket */
};
extern const struct ctl_command CTL_COMMANDS[];

const struct ctl_command *ctl_command_find(struct tl_str name); /* NULL */
/* "key create EMAIL [--label TEXT] ..." */
void ctl_command_usage(const struct ctl_command *c, struct tl_buf *out);
/*
 * Words of a command line (behind the command's own) to an "args" object.
 * TL_INVALID says which word is wrong.  Words are borrowed.
 */
enum tl_status ctl_args_parse(const struct ctl_command *c, char *const *words,
			      size_t n, struct tl_arena *a,
			      const struct doc **args_r,
			      struct tl_err *err) TL_MUST_CHECK;
/* The same rules for an object that came over the socket. */
enum tl_status ctl_args_check(const struct ctl_command *c,
			      const struct doc *args,
			      struct tl_err *err) TL_MUST_CHECK;

/* What was given: absent flags are false, absent texts have ptr NULL. */
bool ctl_flag(const struct doc *args, const char *name);
struct tl_str ctl_text(const struct doc *args, const char *name);
int64_t ctl_number(const struct doc *args, const char *name, int64_t absent);

/* ---- server ---- */

/*
 * One command in hand.  The callback answers it exactly once: before it
 * returns or later (a reload waits for its workers).  A client that left
 * meanwhile is no trouble: the answer then goes nowhere.
 */
struct ctl_call;
typedef void (*ctl_fn)(void *arg, struct ctl_call *call);

/* Never NULL; read with ctl_flag and its like. */
const struct doc *ctl_call_args(const struct ctl_call *call);
struct tl_arena *ctl_call_arena(struct ctl_call *call); /* until answered */
void ctl_answer(struct ctl_call *call, const struct doc *result);
void ctl_refuse(struct ctl_call *call, const struct tl_err *err);

struct ctl_callbacks {
	/*
	 * An object of what only the master knows: "version", "pid",
	 * "uptime_ms", "conf_file" (or null), "conf_generation", "state"
	 * ("starting", "running", "reloading", "stopping").
	 */
	ctl_fn status;
	/*
	 * {"url":"..."}: the connection string in use, embedded or not, so
	 * that tallyctl reaches the same database as the daemon.  Goes to
	 * the allowed peers only; never log it.
	 */
	ctl_fn database;
	/* Answers when the new workers serve, or the reload was refused. */
	ctl_fn reload;
	/*
	 * args: graceful (flag).  Answers that the stop has begun.  The
	 * connection stays open until ctl_server_free, so that its end tells
	 * the client that the daemon is gone.
	 */
	ctl_fn stop;
	/* Answers that an upgrade has begun: {"upgrades":n}, those tried until
	 * now; what came of it stands in the status once there is one more. */
	ctl_fn upgrade;
	/* args: level (word, may be absent).  {"level":"debug","configured":
	 * "info"}, after the change. */
	ctl_fn log_level;
	/* {"step_ms":n}: a step of the wall clock that was held back is taken
	 * in within a second; 0: there was none. */
	ctl_fn clock_accept;
	void *arg;
};

struct ctl_server;
/*
 * Listens on <state_dir>/ctl.sock, or goes on with listen_fd (-1: none), which
 * a program before has opened.  A socket file that is there is replaced,
 * so the caller must hold the instance lock.  base and cb->arg outlive it.
 * SIGPIPE must be ignored: clients leave whenever they like.
 */
enum tl_status ctl_server_new(struct event_base *base, const char *state_dir,
			      int listen_fd, const struct ctl_callbacks *cb,
			      struct ctl_server **server_r,
			      struct tl_err *err) TL_MUST_CHECK;
int ctl_server_fd(const struct ctl_server *server);
/* Lets the members of a group in, beside root and the daemon's user. */
enum tl_status ctl_server_share(struct ctl_server *server, gid_t gid,
				struct tl_err *err) TL_MUST_CHECK;
/*
 * Closes all and removes the socket file; calls not yet answered are gone
 * and must not be answered any more.  Not from within a callback, and not
 * for children after fork (they would remove the file).
 */
void ctl_server_free(struct ctl_server **server);

/* ---- client ---- */

struct ctl_client;
/* TL_UNAVAILABLE: nobody listens.  TL_DENIED: not our user. */
enum tl_status ctl_client_open(const char *state_dir, uint32_t timeout_ms,
			       struct ctl_client **client_r,
			       struct tl_err *err) TL_MUST_CHECK;
/* Statuses of the daemon come through; TL_DEADLINE: it did not answer. */
enum tl_status ctl_client_call(struct ctl_client *client, const char *cmd,
			       const struct doc *args, uint32_t timeout_ms,
			       struct tl_arena *a, const struct doc **result_r,
			       struct tl_err *err) TL_MUST_CHECK;
/* The daemon's process, readable when it has ended; the caller's, -1: cannot
 * be seen from here. */
int ctl_client_pidfd(const struct ctl_client *client);
/* After a stop: waits until the daemon has closed the connection. */
enum tl_status ctl_client_wait_end(struct ctl_client *client,
				   uint32_t timeout_ms,
				   struct tl_err *err) TL_MUST_CHECK;
void ctl_client_free(struct ctl_client **client);

#endif
