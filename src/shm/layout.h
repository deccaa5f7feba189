/*
 * layout.h - every struct of the segment: the bytes that processes share.
 *
 * Fixed widths, no pointers (indices), no enums, no locks but the stripes.
 * Only _Atomic uint32_t/uint64_t, which are always lock-free here.  Default
 * order is seq_cst.  Any edit bumps SHM_LAYOUT, which is also in the name of
 * the segment, so that two releases with other layouts never share; and is
 * repeated in layout_table.c, so that one can take over what the other left.
 *
 * Words:
 *   tagged count   period:20 | count:44     (quota, base, usage, flushed)
 *   window cell    bucket epoch:32 | count:32
 *   slot word      hint:24 | fingerprint:12 | generation:4 | index+1:24, 0 is
 *                  empty; the hint of a key is its user's index: both can be
 *                  fetched at once, which saves a memory access in three
 *   entry state    state:8 | generation:8 | owner slot:16 | gc epoch:32
 */
#ifndef TALLY_SHM_LAYOUT_H
#define TALLY_SHM_LAYOUT_H

#include <stdatomic.h>
#include <stdint.h>

#ifndef SHM_LAYOUT /* a test's program has another one */
#define SHM_LAYOUT	   5 /* from 5 on with a text, see layout_table.h */
#endif
#define SHM_INDEX_MAX	   ((1U << 24) - 2) /* entries of a table */
#define SHM_MAGIC	   "TALLYSEG"
#define SHM_SLOTS	   96	/* processes */
#define SHM_CELLS	   16	/* window ring, N */
#define SHM_SPAN	   14	/* buckets of a window, B = N - 2 */
#define SHM_PERIODS	   3	/* usage cells kept per metric */
#define SHM_METRICS	   3	/* enum shm_metric */
#define SHM_STRIPES	   1024 /* insertion locks */
#define SHM_LIMITS	   256	/* named limits */
#define SHM_PLANS	   256
#define SHM_BATCHES	   2
#define SHM_BATCH_RECORDS  8192
#define SHM_BATCH_IDEMS	   2048
#define SHM_BATCH_LOGS	   8192 /* rows for request_logs */
#define SHM_BATCH_LOG_BYTES (1U << 20) /* of them, with their models */
#define SHM_MODEL_MAX	   400	/* bytes: 100 code points of any UTF-8 */
#define SHM_LOG_SLOTS	   4	/* that one row takes at most */
#define SHM_TASK_PLACES	   512	/* tags that one process holds places of */
#define SHM_COUNTERS	   1024 /* words of a process: whole pages */
#define SHM_NAME_MAX	   40
#define SHM_WAYS	   8 /* entries of a set in window and idem tables */
#define SHM_NO_LIMIT	   UINT32_MAX
#define SHM_NONE	   UINT32_MAX /* no index */
#define SHM_PAGE	   4096

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	       "the segment needs lock-free 32 and 64 bit atomics");

enum shm_region_id {
	SHM_R_SLOTS, SHM_R_METRICS, SHM_R_POLICY, SHM_R_STRIPES,
	SHM_R_KEY_DIR, SHM_R_KEYS, SHM_R_USER_DIR, SHM_R_USERS,
	SHM_R_EXTRAS_DIR, SHM_R_EXTRAS, SHM_R_NEGATIVE, SHM_R_ADDRESSES,
	SHM_R_WINDOWS, SHM_R_DIRTY, SHM_R_BATCHES, SHM_R_RING, SHM_R_IDEMS,
	SHM_R_REQUEST_LOG, SHM_R_TASK_PLACES, SHM_R_TEXT,
	SHM_REGIONS
};

enum shm_segment_state {
	SHM_CREATING = 1, SHM_READY, SHM_CLEAN, SHM_BROKEN
};
enum shm_metric { SHM_CREDITS, SHM_REQUESTS, SHM_COST }; /* micro-USD */

struct shm_region {
	uint64_t offset, size_bytes;
	uint32_t stride, count;
};

/* Constant after READY.  Up to text_bytes it is the same in all layouts. */
struct shm_constants {
	char magic[8];
	uint32_t layout, slots;
	uint64_t layout_hash;
	uint64_t total_bytes;
	uint64_t text_offset, text_bytes; /* of shm_layout_text() */
	uint64_t epoch;	       /* random 63 bits, new for each fresh segment */
	uint64_t created_mono_ns; /* windows count from here */
	uint8_t boot_id[16];
	uint8_t seed[16];      /* SipHash of all tables */
	char node_id[48];
	uint64_t window_ms;    /* of the built-in windows */
	struct shm_region regions[SHM_REGIONS];
	uint32_t key_buckets, user_buckets, extras_buckets; /* powers of 2 */
	uint32_t crc; /* CRC32C of all before it */
};

struct shm_head {
	union {
		struct shm_constants k;
		uint8_t page[SHM_PAGE];
	};
	/* second page: words that change */
	_Atomic uint64_t state;	     /* enum shm_segment_state, stored last */
	_Atomic uint64_t generation; /* raised when the content is remade */
	_Atomic uint64_t database_id[2]; /* 0,0 until first connected */
	_Atomic uint64_t gc_epoch;
	_Atomic uint64_t change_gen; /* raised before and after each change of
				      * keys, users, plans; a load that saw
				      * another one is read anew */
	_Atomic uint64_t policy_gen; /* low bit: which copy is current */
	_Atomic uint64_t max_period; /* days; only rises */
	_Atomic uint64_t wall_offset_us; /* wall = mono + this (signed) */
	_Atomic uint64_t loads_open; /* 1: baselines may be read from the
				      * database (old spools are replayed) */
	/* allocation, each on its own line */
	_Alignas(64) _Atomic uint64_t key_free; /* index+1:32 | tag:32 */
	_Atomic uint64_t key_fresh;		/* next never used index */
	_Atomic uint64_t key_live;
	_Alignas(64) _Atomic uint64_t user_free;
	_Atomic uint64_t user_fresh;
	_Atomic uint64_t user_live;
	_Alignas(64) _Atomic uint64_t extras_free;
	_Atomic uint64_t extras_fresh;
	_Atomic uint64_t extras_live;
	_Atomic uint64_t sweep; /* janitor's round over the keys */
	_Alignas(64) _Atomic uint64_t ring_next; /* decision ring position */
	_Alignas(64) _Atomic uint64_t log_next; /* first slot not claimed */
	_Alignas(64) _Atomic uint64_t log_done; /* first slot not handed over;
						 * the flusher's */
	/* flusher */
	_Alignas(64) _Atomic uint64_t flush_gen;     /* raised before a scan */
	_Atomic uint64_t committed_gen;		     /* scans whose all is safe */
	_Alignas(64) _Atomic uint64_t next_seq; /* of the next batch, from 1 */
	_Atomic uint64_t flush_level;		/* 0..4, design section 8 */
	_Atomic uint64_t last_commit_mono_ms;
	_Atomic uint64_t last_scan_mono_ms;
	_Atomic uint64_t database_up;		/* the flusher's view */
	_Atomic uint64_t spool_bytes;
	_Atomic uint64_t spool_records;
	_Atomic uint64_t full_scan_wanted;
	_Atomic uint64_t refresh_wanted; /* tickets of shm_refresh_want: last
					  * given:32 | last done:32 */
	_Atomic uint64_t usage_dropped; /* outage_policy = open */
	_Atomic uint64_t idem_floor_ms;	/* wall: all records since then are
					 * here; older ones ask the database */
	/* task bus */
	_Alignas(64) _Atomic uint64_t task_sends; /* raised when tasks were
						   * sent from this host */
	_Atomic uint64_t task_deaths; /* raised by the master: a runner died */
	/* the database's clock, when the flusher asked last because ours was
	 * set: wall = mono + this (signed), and when that was; 0: never */
	_Atomic uint64_t database_offset_us, database_asked_mono_ms;
	_Atomic uint64_t tasks_ready, tasks_delayed; /* in the database, as a
						      * runner counted last */
};

/* ---- processes ------------------------------------------------------- */
enum shm_slot_state { SHM_SLOT_FREE, SHM_SLOT_STARTING, SHM_SLOT_READY,
		      SHM_SLOT_DRAINING, SHM_SLOT_DEAD };
#define SHM_EPOCH_IDLE UINT64_MAX
struct shm_slot {
	_Atomic uint64_t state;	   /* enum shm_slot_state */
	_Atomic uint64_t identity; /* slot:16 | spawn number:48 */
	_Atomic uint64_t pid;
	_Atomic uint64_t start_ticks; /* /proc/PID/stat field 22 */
	_Atomic uint64_t gc_epoch;    /* it runs in, or SHM_EPOCH_IDLE */
	_Atomic uint64_t beat_mono_ms;
	_Atomic uint64_t started_mono_ms;
	_Atomic uint64_t conf_generation;
	char kind[16];
	_Atomic uint64_t number; /* worker 0, 1, ... */
	_Atomic uint64_t strict_waiting; /* answers of it that wait */
	_Atomic uint64_t task_due_mono_ms; /* runner: when the first of its
					    * tasks is out of time; 0: none */
	_Atomic uint64_t tasks_running;
	uint8_t pad[256 - 12 * 8 - 16];
};
_Static_assert(sizeof(struct shm_slot) == 256, "changed? bump SHM_LAYOUT");

/* One writer each; plain relaxed adds; see metrics.h for the index. */
struct shm_metrics {
	_Atomic uint64_t counter[SHM_COUNTERS];
};

struct shm_stripe {
	uint8_t mutex[64]; /* pthread_mutex_t, robust, process-shared */
};

/* ---- rules ----------------------------------------------------------- */
struct shm_limit {
	uint64_t id64;	/* keyed hash of limit_id, never 0; 0 is a free row */
	char name[SHM_NAME_MAX + 1];
	uint8_t name_len, algorithm, scope, shadow;
	uint8_t pad[3];
	uint32_t count, burst;
	uint32_t window_ms, prev_window_ms; /* prev: before the last change */
};
struct shm_plan {
	uint8_t plan_id[16];
	char name[201]; /* 50 code points */
	uint8_t name_len;
	uint8_t used;
	uint8_t pad[5];
	uint64_t daily_credit_limit;
	uint32_t rate_limit;
	uint32_t pad2;
};
struct shm_policy { /* two copies; policy_gen says which is current */
	uint32_t n_limits, n_plans;
	struct shm_limit limits[SHM_LIMITS];
	struct shm_plan plans[SHM_PLANS];
};

/* ---- directories ----------------------------------------------------- */
#define SHM_BUCKET_WORDS 7
struct shm_bucket {
	_Atomic uint64_t word[SHM_BUCKET_WORDS];
	uint64_t spare;
};
_Static_assert(sizeof(struct shm_bucket) == 64, "changed? bump SHM_LAYOUT");

/*
 * Entry life: FREE -> INIT (owner) -> LIVE -> DYING -> RETIRED -> FREE.
 * A worker inserts under the stripe of the digest; only the janitor (in the
 * flusher) removes.  Who has not read LIVE must not look at the plain fields.
 */
enum shm_entry_state { SHM_FREE, SHM_INIT, SHM_LIVE, SHM_DYING, SHM_RETIRED };
enum { SHM_KEY_REVOKED = 1 };
struct shm_key {
	_Atomic uint64_t state;
	_Atomic uint64_t last_used_ms; /* wall, Unix */
	uint8_t digest[32];
	uint8_t key_id[16];
	/* line 1: rules, each word changes alone */
	_Atomic uint32_t flags;
	_Atomic uint32_t user;		/* index */
	_Atomic uint32_t expires_at_s;	/* Unix; 0 never */
	_Atomic uint32_t grace_until_s; /* Unix; 0 none */
	_Atomic uint32_t rate_limit;	/* 0: the built-in one */
	_Atomic uint32_t daily_limit;	/* SHM_NO_LIMIT: none */
	_Atomic uint32_t extras;	/* index+1; 0 none */
	_Atomic uint32_t free_next;	/* index+1, in the free list */
	_Atomic uint64_t base;		/* tagged: database's credits */
	/*
	 * Usage: only grows within a period; written by workers.  flushed:
	 * what has been handed over for good; written by the flusher only.
	 * Not yet handed over = cell - flushed, same tag.
	 */
	_Atomic uint64_t cell[SHM_PERIODS][SHM_METRICS];
	_Atomic uint64_t flushed[SHM_PERIODS][SHM_METRICS];
	_Atomic uint64_t flushed_used_ms; /* last_used_ms handed over */
	_Atomic uint64_t ring[SHM_CELLS];
};
_Static_assert(sizeof(struct shm_key) == 384, "changed? bump SHM_LAYOUT");

enum { SHM_USER_SUSPENDED = 1 };
struct shm_user {
	_Atomic uint64_t state;
	uint8_t user_id[16];
	_Atomic uint64_t limit; /* daily credits of the plan */
	_Atomic uint64_t quota; /* tagged: admitted by this segment; the only
				 * authority for admission */
	_Atomic uint64_t base;	/* tagged: the database's when loaded */
	_Atomic uint64_t requests;	/* tagged, as quota, for replies */
	_Atomic uint64_t requests_base; /* tagged */
	/* line 1 */
	_Atomic uint32_t flags;
	_Atomic uint32_t plan;	  /* index in shm_policy.plans */
	_Atomic uint32_t extras;  /* index+1 */
	_Atomic uint32_t free_next;
	_Atomic uint64_t last_used_ms;
	_Atomic uint32_t mark; /* sweep that saw a key of it */
	/*
	 * Days on which a request was refused for want of the user's credits,
	 * each at its place as usage is; 0: none.  refused: by workers, then
	 * the key is dirty.  refused_flushed: what of it was handed over; by
	 * the flusher.
	 */
	_Atomic uint32_t refused[SHM_PERIODS];
	_Atomic uint32_t refused_flushed[SHM_PERIODS];
	uint8_t pad[12];
};
_Static_assert(sizeof(struct shm_user) == 128, "changed? bump SHM_LAYOUT");

/*
 * Scopes, networks and overrides of a key or user: items (type:8 len:8
 * bytes), never split over chunks; equal contents are shared.  Immutable
 * once LIVE; the janitor frees what no entry names.
 */
enum shm_extra_type { SHM_X_END, SHM_X_SCOPE, SHM_X_CIDR, SHM_X_OVERRIDE };
struct shm_extras {
	_Atomic uint64_t state;
	uint64_t hash;	     /* of the whole chain's items; head only */
	_Atomic uint32_t free_next;
	uint32_t next;	     /* index+1 of the next chunk; 0 last */
	uint8_t has_scopes, has_cidrs, has_overrides, pad;
	_Atomic uint32_t mark; /* sweep that saw it named */
	uint8_t items[256 - 32];
};
_Static_assert(sizeof(struct shm_extras) == 256, "changed? bump SHM_LAYOUT");

/* Unknown digests and loads in progress; sets of 4. */
struct shm_negative {
	_Atomic uint64_t tag;	/* keyed hash of the digest; 0 free */
	_Atomic uint64_t until_mono_ms;
	_Atomic uint64_t owner; /* identity that loads it now; 0: unknown key */
	uint64_t pad;
};

/* A window outside a key: address, or named limit x subject. */
struct shm_window {
	_Atomic uint64_t tag;	    /* keyed hash of what it counts; 0 free */
	_Atomic uint64_t last_mono_ms;
	_Atomic uint64_t window_ms; /* its length */
	uint8_t subject[16];	    /* address, key id or user id, to show */
	uint8_t pad[24];
	_Atomic uint64_t ring[SHM_CELLS]; /* gcra: ring[0] is the TAT, ns */
};
_Static_assert(sizeof(struct shm_window) == 192, "changed? bump SHM_LAYOUT");

/* ---- flush ----------------------------------------------------------- */
enum shm_batch_state { SHM_B_FREE, SHM_B_FILLING, SHM_B_SEALED };
enum { SHM_RECORD_REFUSED = 1 }; /* first refusal of the user's day */
struct shm_record { /* one key, one day; also the spool's bytes */
	uint8_t key_id[16], user_id[16];
	uint32_t day; /* since 1970 */
	uint32_t key; /* index; meaningful within the same epoch only */
	uint32_t key_gen, flags;
	uint64_t delta[SHM_METRICS];
	uint64_t snapshot[SHM_METRICS]; /* cell counts that delta ends at */
	uint64_t last_used_ms;
};
_Static_assert(sizeof(struct shm_record) == 104, "changed? bump SHM_LAYOUT");

/* The first answer to an Idempotency-Key. */
struct shm_answer {
	uint32_t credits_charged;
	uint32_t day;
	uint64_t cost_micro_usd;
	uint64_t credits_used, daily_limit, request_count;
};
struct shm_idem_record { /* in a batch and in the spool */
	uint8_t key_id[16];
	uint8_t body_hash[16];
	char name[64]; /* padded with NUL */
	uint64_t at_ms;
	struct shm_answer answer;
};
_Static_assert(sizeof(struct shm_idem_record) == 144, "bump SHM_LAYOUT");

/*
 * One row for request_logs, in the ring, in a batch and in the spool: this,
 * then the model, padded with NUL to a multiple of 8.
 */
struct shm_log_row {
	uint8_t user_id[16], key_id[16];
	int64_t created_us; /* wall, Unix; the request's one clock reading */
	uint64_t cost_micro_usd;
	uint32_t prompt_tokens, completion_tokens;
	uint32_t credits;
	uint32_t day; /* since 1970, of the same reading */
	uint16_t model_len;
	uint8_t pad[6];
};
_Static_assert(sizeof(struct shm_log_row) == 72, "changed? bump SHM_LAYOUT");

struct shm_batch {
	_Atomic uint64_t state; /* enum shm_batch_state; SEALED stored last */
	uint64_t seq;
	uint64_t epoch;
	uint64_t scan_gen; /* flush_gen this scan belongs to */
	uint32_t n_records, n_idems;
	uint32_t n_logs, log_bytes;
	uint32_t crc; /* of records, idems and logs */
	uint32_t n_logs_lost; /* claims of the dead among the slots */
	uint64_t log_end;     /* its rows came from the slots before */
	uint32_t idem_index[SHM_BATCH_IDEMS]; /* in SHM_R_IDEMS */
	struct shm_idem_record idems[SHM_BATCH_IDEMS];
	struct shm_record records[SHM_BATCH_RECORDS];
	_Alignas(8) uint8_t logs[SHM_BATCH_LOG_BYTES]; /* struct shm_log_row */
};

/*
 * Idempotency table, sets of SHM_WAYS.  state: kind:8 | owner slot:16 |
 * spawn:40.  FREE -> CLAIMED (before the charge) -> DONE -> FLUSHED (handed
 * over) -> evicted after 24 h, or earlier when its set is full (then
 * idem_floor_ms rises).  A CLAIMED record of a dead owner is free again:
 * the one charge that a kill may leave.
 */
enum shm_idem_state { SHM_I_FREE, SHM_I_CLAIMED, SHM_I_DONE, SHM_I_FLUSHED };
struct shm_idem {
	_Atomic uint64_t state;
	_Atomic uint64_t tag; /* keyed hash of key id and name */
	struct shm_idem_record rec;
	_Atomic uint64_t commit_gen; /* strict: wait for this before replay */
	uint8_t pad[24];
};
_Static_assert(sizeof(struct shm_idem) == 192, "changed? bump SHM_LAYOUT");

/* ---- request log ------------------------------------------------------ */
/*
 * A ring of slots; a row takes as many as its model needs, one for up to 48
 * bytes.  word, of the first slot of a row: lap:30 | slots:3 | kind:2 | owner
 * slot:7 | owner spawn:22; the other slots of a row keep the word of a free
 * one.  A slot of lap L is FREE(L) -> CLAIMED -> READY by the process that
 * claimed it, and FREE(L+1) by the flusher when the row has been handed over
 * (or its owner died).  Laps are only compared for equality.
 */
enum shm_log_kind { SHM_L_FREE, SHM_L_CLAIMED, SHM_L_READY };
#define SHM_LOG_BODY 120
struct shm_log_slot {
	_Atomic uint64_t word;
	uint8_t body[SHM_LOG_BODY];
};
_Static_assert(sizeof(struct shm_log_slot) == 128, "bump SHM_LAYOUT");
_Static_assert(SHM_LOG_SLOTS * SHM_LOG_BODY >=
		       sizeof(struct shm_log_row) + SHM_MODEL_MAX,
	       "the longest model does not fit");

/* ---- task bus --------------------------------------------------------- */
/*
 * Places: how many tasks of a queue, or of a tenant in it, a process runs.
 * Each process has a table of its own and is its only writer; the sum over
 * all tables is what runs on this host.  tag 0: free.  Who takes a place adds
 * first and sums then, so two that race may both be refused, and never both
 * be let in above the limit.  The table of a dead process is cleared by the
 * master.
 */
struct shm_task_place {
	_Atomic uint64_t tag;
	_Atomic uint64_t count;
};
struct shm_task_places {
	struct shm_task_place place[SHM_TASK_PLACES];
};
_Static_assert(sizeof(struct shm_task_places) == 8192, "bump SHM_LAYOUT");

/* ---- decision ring --------------------------------------------------- */
struct shm_decision {
	_Atomic uint64_t seq; /* 2*pos+1 while written, 2*pos+2 when whole */
	int64_t wall_us;
	uint64_t duration_ns;
	uint8_t key_id[16]; /* zero: none */
	uint8_t user_id[16];
	uint8_t client[16];
	uint8_t trace_id[16]; /* zero: none */
	char request_id[64];
	uint8_t request_id_len, door, code, reason; /* decide.h */
	uint16_t http_status, worker;
	uint32_t cost;
	char limit_name[SHM_NAME_MAX]; /* that refused, or the tightest */
	uint32_t limit_count, limit_sum; /* allowed, charged when decided */
	uint32_t reset_ms;
	uint32_t quota_limit, quota_used;
};
_Static_assert(sizeof(struct shm_decision) == 224, "bump SHM_LAYOUT");

#endif
