/*
 * fuzz_signature.c - the three headers of a signed webhook.
 *
 * Lines: id, timestamp, signature, a secret; the rest is the body.  In the
 * signature a '$' stands for the right code and a '!' for one of another
 * message, so that both are met.  Good is what has the right code among its
 * words and a moment within the tolerance, and nothing else is.
 */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>
#include <string.h>

#include "net/signature.h"
#include "tests/fuzz/fuzz.h"

#define NOW_S 1767225600LL

static struct tl_str next_line(struct tl_str *in)
{
	struct tl_str line = { "", 0 };

	(void)tl_str_split(in, '\n', &line);
	return line;
}

/* What is taken is written in the one form and taken as the same. */
static void check_secret(struct tl_str text)
{
	struct signature_secret secret, again;
	char form[SIGNATURE_SECRET_TEXT];
	struct tl_err err;

	if (signature_secret_parse(text, &secret, &err) != TL_OK) {
		/* of the secret itself nothing is told */
		tl_assert(text.len < 12 || memmem(err.text, strlen(err.text),
						  text.ptr, text.len) == NULL);
		return;
	}
	tl_assert(secret.len >= SIGNATURE_KEY_MIN &&
		  secret.len <= SIGNATURE_KEY_MAX);
	signature_secret_format(&secret, form);
	tl_assert(text.len >= strlen(form) - 6 &&
		  memcmp(form + strlen(form) - 32, text.ptr + text.len - 32,
			 32) == 0);
	tl_assert(signature_secret_parse(tl_str_c(form), &again, NULL) ==
		  TL_OK);
	tl_assert(again.len == secret.len &&
		  memcmp(again.key, secret.key, secret.len) == 0);
}

static bool seconds(struct tl_str s, int64_t *v)
{
	*v = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9' || *v > 253402300799LL)
			return false;
		*v = *v * 10 + s.ptr[i] - '0';
	}
	return s.len > 0 && *v <= 253402300799LL;
}

static bool has_word(struct tl_str words, const char *want)
{
	struct tl_str word;

	while (tl_str_split(&words, ' ', &word))
		if (tl_str_eq(word, tl_str_c(want)))
			return true;
	return false;
}

static void fill_in(struct tl_str s, const char *right, const char *wrong,
		    struct tl_buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '$')
			tl_buf_adds(out, right);
		else if (s.ptr[i] == '!')
			tl_buf_adds(out, wrong);
		else
			tl_buf_addc(out, s.ptr[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct signature_secret key = { "0123456789abcdef01234567",
						     24 };
	struct tl_str in = { (const char *)data, size };
	struct signature_message m = { .id = next_line(&in) };
	struct signature_verdict v;
	char right[SIGNATURE_TEXT] = "", wrong[SIGNATURE_TEXT];
	int64_t at_s = 0, age_s;
	bool moment, good;
	struct tl_buf header;
	struct tl_str form;

	m.timestamp = next_line(&in);
	form = next_line(&in);
	check_secret(next_line(&in));
	m.body = in;
	moment = seconds(m.timestamp, &at_s);
	/* as the sender writes it, without zeroes in front */
	if (moment && m.timestamp.ptr[0] != '0' && signature_id_valid(m.id))
		signature_make(&key, m.id, at_s, m.body, right);
	signature_make(&key, TL_STR("msg"), NOW_S, TL_STR("other"), wrong);
	tl_buf_init(&header);
	fill_in(form, right, wrong, &header);
	m.signature = tl_buf_str(&header);
	v = signature_verify(&m, &key, NULL, NOW_S, SIGNATURE_TOLERANCE_S);
	age_s = NOW_S - at_s;
	good = right[0] != '\0' && has_word(m.signature, right) &&
	       age_s <= SIGNATURE_TOLERANCE_S &&
	       age_s >= -SIGNATURE_TOLERANCE_S;
	if (right[0] != '\0') {
		tl_assert((v.fault == SIGNATURE_GOOD) == good);
		tl_assert(v.age_s == age_s || m.signature.len == 0);
	} else if (!moment) {
		tl_assert(v.fault != SIGNATURE_GOOD);
	}
	tl_assert(v.hint == SIGNATURE_HINT_NONE ||
		  v.fault == SIGNATURE_MISMATCH);
	tl_assert(signature_fault_text(v.fault)[0] != '\0');
	tl_buf_deinit(&header);
	return 0;
}
