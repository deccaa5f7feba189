/*
 * cmd_bench.c - bench: how fast decisions are on this machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tallyctl/bench.h"
#include "tallyctl/tallyctl.h"

#define KEYS_DEFAULT 100000
#define KEYS_MAX     10000000
#define SECONDS_MAX  600

struct figures {
	uint32_t keys, cpus;
	const char *machine;
	uint64_t bytes;
	double sha256_ns, cold_read_ns, hot_ns, random_ns;
	struct {
		uint32_t processes;
		double per_second;
	} rate[16]; /* 1, 2, 4 ... and the number of CPUs */
	uint32_t n_rates;
};

/* "model name : X" of the first CPU. */
static const char *machine_name(struct tl_arena *a)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256], *at;
	const char *name = "unknown";

	if (f == NULL)
		return name;
	while (fgets(line, sizeof(line), f) != NULL) {
		at = strchr(line, ':');
		if (at == NULL || strncmp(line, "model name", 10) != 0)
			continue;
		at += 1 + strspn(at + 1, " ");
		name = tl_arena_strndup(a, at, strcspn(at, "\n"));
		break;
	}
	(void)fclose(f);
	return name;
}

static enum tl_status measure(struct bench *b, uint32_t ms, struct figures *f,
			      struct tl_err *err)
{
	enum tl_status st;
	uint32_t n = 1;

	f->bytes = bench_bytes(b);
	/* The first round warms the caches and the page tables. */
	st = bench_decision_ns(b, false, ms / 2, &f->random_ns, err);
	if (st == TL_OK)
		st = bench_decision_ns(b, true, ms, &f->hot_ns, err);
	if (st == TL_OK)
		st = bench_decision_ns(b, false, ms, &f->random_ns, err);
	f->sha256_ns = bench_sha256_ns(b, ms);
	f->cold_read_ns = bench_cold_read_ns(b, ms);
	while (st == TL_OK) {
		f->rate[f->n_rates].processes = n;
		st = bench_rate(b, n, ms, &f->rate[f->n_rates].per_second, err);
		f->n_rates++;
		if (n == f->cpus)
			break;
		n = 2 * n < f->cpus ? 2 * n : f->cpus;
	}
	return st;
}

static void print_for_people(const struct figures *f)
{
	(void)printf("machine:            %s, %" PRIu32 " CPU%s\n", f->machine,
		     f->cpus, f->cpus == 1 ? "" : "s");
	(void)printf("segment:            %" PRIu32 " keys and as many users, "
		     "%.1f MiB\n",
		     f->keys, (double)f->bytes / (1 << 20));
	(void)printf("sha-256 of a key:   %6.0f ns\n", f->sha256_ns);
	(void)printf("cold read:          %6.0f ns\n", f->cold_read_ns);
	(void)printf("decision, hot key:  %6.0f ns (median of batches of %d)\n",
		     f->hot_ns, BENCH_BATCH);
	(void)printf("decision, random:   %6.0f ns\n", f->random_ns);
	for (uint32_t i = 0; i < f->n_rates; i++)
		(void)printf("%3" PRIu32 " process%s      %10.0f decisions/s\n",
			     f->rate[i].processes,
			     f->rate[i].processes == 1 ? ":  " : "es:",
			     f->rate[i].per_second);
}

static void set_number(struct tl_arena *a, struct doc *o, const char *name,
		       double v)
{
	doc_set(a, o, name, doc_int(a, (int64_t)(v + 0.5)));
}

static void print_as_json(const struct figures *f, struct tl_arena *a)
{
	struct doc *o = doc_object(a), *list = doc_array(a);

	for (uint32_t i = 0; i < f->n_rates; i++) {
		struct doc *r = doc_object(a);

		set_number(a, r, "processes", f->rate[i].processes);
		set_number(a, r, "decisions_per_second", f->rate[i].per_second);
		doc_push(a, list, r);
	}
	doc_set(a, o, "machine", doc_str(a, tl_str_c(f->machine)));
	set_number(a, o, "cpus", f->cpus);
	set_number(a, o, "keys", f->keys);
	set_number(a, o, "segment_bytes", (double)f->bytes);
	set_number(a, o, "sha256_ns", f->sha256_ns);
	set_number(a, o, "cold_read_ns", f->cold_read_ns);
	set_number(a, o, "decision_hot_ns", f->hot_ns);
	set_number(a, o, "decision_random_ns", f->random_ns);
	doc_set(a, o, "rates", list);
	print_json(o);
}

enum exit_status cmd_bench(struct tallyctl *t)
{
	int64_t keys = ctl_number(t->args, "keys", KEYS_DEFAULT);
	int64_t seconds = ctl_number(t->args, "seconds", 1);
	struct figures f = { .keys = (uint32_t)keys, .cpus = bench_cpus() };
	struct bench *b = NULL;
	enum tl_status st;
	struct tl_err err;

	if (keys < 1 || keys > KEYS_MAX)
		return complain(EXIT_USAGE, "--keys must be 1 to %d", KEYS_MAX);
	if (seconds < 1 || seconds > SECONDS_MAX)
		return complain(EXIT_USAGE, "--seconds must be 1 to %d",
				SECONDS_MAX);
	f.machine = machine_name(t->arena);
	st = bench_new(f.keys, &b, &err);
	if (st == TL_OK)
		st = measure(b, (uint32_t)seconds * 1000, &f, &err);
	bench_free(&b);
	if (st == TL_FULL)
		return complain(EXIT_FAILED,
				"no room for %" PRIu32 " keys: %s; or give "
				"fewer with --keys",
				f.keys, err.text);
	if (st != TL_OK)
		return complain(EXIT_FAILED, "%s", err.text);
	if (t->json)
		print_as_json(&f, t->arena);
	else
		print_for_people(&f);
	return EXIT_OK;
}
