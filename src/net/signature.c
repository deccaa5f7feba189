/*
 * signature.c - see signature.h.
 */
#include "net/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/fd.h"

#define CODE_BYTES 32 /* of SHA-256 */
#define CODE_TEXT  44 /* its base64 */

static const char prefix[] = "whsec_";

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789+/";

/*
 * Strict (RFC 4648, 3 and 4): padded, no blanks, no bits left over.
 * EVP_DecodeBlock takes blanks and counts the padding as bytes.
 */
static bool decode(struct tl_str text, uint8_t *dst, size_t max, size_t *len_r)
{
	size_t pad = 0, n = 0;
	uint32_t v = 0;

	while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=')
		pad++;
	if (text.len % 4 != 0 || text.len / 4 * 3 - pad > max)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		const char *at = "";

		if (i < text.len - pad) {
			at = memchr(base64, text.ptr[i], sizeof(base64) - 1);
			if (at == NULL)
				return false;
			v = v << 6 | (uint32_t)(at - base64);
		} else {
			v <<= 6;
		}
		if (i % 4 != 3)
			continue;
		for (int shift = 16; shift >= 0; shift -= 8) {
			uint8_t byte = (uint8_t)(v >> shift);

			if (n < text.len / 4 * 3 - pad)
				dst[n++] = byte;
			else if (byte != 0)
				return false;
		}
		v = 0;
	}
	*len_r = n;
	return true;
}

enum tl_status signature_secret_parse(struct tl_str text,
				      struct signature_secret *secret_r,
				      struct tl_err *err)
{
	struct signature_secret secret;
	size_t front = sizeof(prefix) - 1;

	if (text.len >= front && memcmp(text.ptr, prefix, front) == 0)
		text = (struct tl_str){ text.ptr + front, text.len - front };
	if (text.len == 0)
		return tl_err_set(err, TL_INVALID, "the secret is empty");
	if (!decode(text, secret.key, sizeof(secret.key), &secret.len)) {
		signature_secret_wipe(&secret);
		return tl_err_set(err, TL_INVALID,
				  "the secret is not whsec_ and the base64 of "
				  "%d to %d bytes",
				  SIGNATURE_KEY_MIN, SIGNATURE_KEY_MAX);
	}
	if (secret.len < SIGNATURE_KEY_MIN)
		return tl_err_set(err, TL_INVALID,
				  "the secret has %zu bytes; give %d to %d",
				  secret.len, SIGNATURE_KEY_MIN,
				  SIGNATURE_KEY_MAX);
	*secret_r = secret;
	signature_secret_wipe(&secret);
	return TL_OK;
}

void signature_secret_format(const struct signature_secret *secret,
			     char dst[SIGNATURE_SECRET_TEXT])
{
	memcpy(dst, prefix, sizeof(prefix) - 1);
	EVP_EncodeBlock((unsigned char *)dst + sizeof(prefix) - 1, secret->key,
			(int)secret->len);
}

void signature_secret_new(struct signature_secret *secret_r)
{
	secret_r->len = SIGNATURE_KEY_NEW;
	tl_random(secret_r->key, SIGNATURE_KEY_NEW);
}

void signature_secret_wipe(struct signature_secret *secret)
{
	OPENSSL_cleanse(secret, sizeof(*secret));
}

bool signature_id_valid(struct tl_str id)
{
	return id.len > 0 && memchr(id.ptr, '.', id.len) == NULL &&
	       !tl_has_control(id);
}

/* The code of "front" + body, where front is "ID.TIMESTAMP.". */
static void code(const void *key, size_t key_len, struct tl_str front,
		 struct tl_str body, char dst[CODE_TEXT + 1])
{
	struct tl_buf all;
	unsigned char mac[CODE_BYTES];
	unsigned len = 0;

	tl_buf_init(&all);
	tl_buf_reserve(&all, front.len + body.len);
	tl_buf_add(&all, front.ptr, front.len);
	tl_buf_add(&all, body.ptr, body.len);
	tl_assert(HMAC(EVP_sha256(), key, (int)key_len,
		       (const unsigned char *)all.ptr, all.len, mac,
		       &len) != NULL &&
		  len == CODE_BYTES);
	EVP_EncodeBlock((unsigned char *)dst, mac, CODE_BYTES);
	tl_buf_deinit(&all);
}

void signature_make(const struct signature_secret *secret, struct tl_str id,
		    int64_t timestamp_s, struct tl_str body,
		    char dst[SIGNATURE_TEXT])
{
	struct tl_buf front;

	tl_assert(signature_id_valid(id));
	tl_buf_init(&front);
	tl_buf_add(&front, id.ptr, id.len);
	tl_buf_addf(&front, ".%lld.", (long long)timestamp_s);
	memcpy(dst, "v1,", 3);
	code(secret->key, secret->len, tl_buf_str(&front), body, dst + 3);
	tl_buf_deinit(&front);
}

/* Compares with each "v1,…" of the header; codes_r: how many there are. */
static bool header_has(struct tl_str header, const char want[CODE_TEXT + 1],
		       unsigned *codes_r)
{
	struct tl_str entry;
	unsigned codes = 0;
	bool found = false;

	while (tl_str_split(&header, ' ', &entry)) {
		if (entry.len != 3 + CODE_TEXT ||
		    memcmp(entry.ptr, "v1,", 3) != 0)
			continue;
		codes++;
		if (tl_equal_const_time(entry.ptr + 3, want, CODE_TEXT))
			found = true;
	}
	*codes_r = codes;
	return found;
}

static bool matches(const void *key, size_t key_len, struct tl_str front,
		    struct tl_str body, struct tl_str header, unsigned *codes_r)
{
	char want[CODE_TEXT + 1];

	code(key, key_len, front, body, want);
	return header_has(header, want, codes_r);
}

/* The body as a program leaves it that turns CR LF into LF. */
static void without_cr(struct tl_str body, struct tl_buf *out)
{
	for (size_t i = 0; i < body.len; i++)
		if (body.ptr[i] != '\r' || i + 1 == body.len ||
		    body.ptr[i + 1] != '\n')
			tl_buf_addc(out, body.ptr[i]);
}

static bool matches_other_body(const struct signature_secret *s,
			       struct tl_str front,
			       const struct signature_message *msg,
			       enum signature_hint *hint)
{
	struct tl_str cut = msg->body;
	struct tl_buf other;
	unsigned codes;
	bool found;

	tl_buf_init(&other);
	tl_buf_add(&other, msg->body.ptr, msg->body.len);
	tl_buf_addc(&other, '\n');
	*hint = SIGNATURE_HINT_NEWLINE_LOST;
	found = matches(s->key, s->len, front, tl_buf_str(&other),
			msg->signature, &codes);
	if (!found && cut.len > 0 && cut.ptr[cut.len - 1] == '\n') {
		cut.len--;
		if (cut.len > 0 && cut.ptr[cut.len - 1] == '\r')
			cut.len--;
		*hint = SIGNATURE_HINT_NEWLINE_ADDED;
		found = matches(s->key, s->len, front, cut, msg->signature,
				&codes);
	}
	if (!found) {
		tl_buf_reset(&other);
		without_cr(msg->body, &other);
		*hint = SIGNATURE_HINT_CRLF;
		found = matches(s->key, s->len, front, tl_buf_str(&other),
				msg->signature, &codes);
	}
	tl_buf_deinit(&other);
	return found;
}

static enum signature_hint hint_of(const struct signature_message *msg,
				   const struct signature_secret *secret,
				   const struct signature_secret *other,
				   struct tl_str front)
{
	char text[SIGNATURE_SECRET_TEXT];
	size_t len, skip = sizeof(prefix) - 1;
	enum signature_hint hint;
	unsigned codes;
	bool as_text;

	if (other != NULL && matches(other->key, other->len, front, msg->body,
				     msg->signature, &codes))
		return SIGNATURE_HINT_OTHER_SECRET;
	if (matches_other_body(secret, front, msg, &hint))
		return hint;
	signature_secret_format(secret, text);
	len = strlen(text);
	as_text =
		matches(text, len, front, msg->body, msg->signature, &codes) ||
		matches(text + skip, len - skip, front, msg->body,
			msg->signature, &codes);
	OPENSSL_cleanse(text, sizeof(text));
	return as_text ? SIGNATURE_HINT_SECRET_AS_TEXT : SIGNATURE_HINT_NONE;
}

static enum signature_fault form_fault(const struct signature_message *msg,
				       int64_t *timestamp_r)
{
	if (msg->id.len == 0)
		return SIGNATURE_NO_ID;
	if (msg->timestamp.len == 0)
		return SIGNATURE_NO_TIMESTAMP;
	if (msg->signature.len == 0)
		return SIGNATURE_NO_SIGNATURE;
	/* up to the year 9999, so that ages can not overflow */
	if (!tl_parse_i64(msg->timestamp, 0, 253402300799LL, timestamp_r))
		return SIGNATURE_TIMESTAMP_FORM;
	return SIGNATURE_GOOD;
}

struct signature_verdict signature_verify(const struct signature_message *msg,
					  const struct signature_secret *secret,
					  const struct signature_secret *other,
					  int64_t now_s, int64_t tolerance_s)
{
	struct signature_verdict v = { .fault = SIGNATURE_GOOD };
	struct tl_buf front;
	int64_t timestamp_s = 0;
	bool ok;

	v.fault = form_fault(msg, &timestamp_s);
	if (v.fault != SIGNATURE_GOOD)
		return v;
	v.age_s = now_s - timestamp_s;
	tl_buf_init(&front);
	tl_buf_add(&front, msg->id.ptr, msg->id.len);
	tl_buf_addf(&front, ".%.*s.", (int)msg->timestamp.len,
		    msg->timestamp.ptr);
	ok = matches(secret->key, secret->len, tl_buf_str(&front), msg->body,
		     msg->signature, &v.codes);
	if (v.codes == 0) {
		v.fault = SIGNATURE_FORM;
	} else if (!ok) {
		v.fault = SIGNATURE_MISMATCH;
		v.hint = hint_of(msg, secret, other, tl_buf_str(&front));
	} else if (v.age_s > tolerance_s) {
		v.fault = SIGNATURE_TIMESTAMP_OLD;
	} else if (v.age_s < -tolerance_s) {
		v.fault = SIGNATURE_TIMESTAMP_NEW;
	}
	tl_buf_deinit(&front);
	return v;
}

const char *signature_fault_text(enum signature_fault fault)
{
	static const char *const texts[] = {
		[SIGNATURE_GOOD] = "the signature is right",
		[SIGNATURE_NO_ID] = "the header webhook-id is missing",
		[SIGNATURE_NO_TIMESTAMP] =
			"the header webhook-timestamp is missing",
		[SIGNATURE_NO_SIGNATURE] =
			"the header webhook-signature is missing",
		[SIGNATURE_TIMESTAMP_FORM] =
			"webhook-timestamp is not a number of seconds",
		[SIGNATURE_FORM] =
			"webhook-signature has no entry of the form v1,BASE64",
		[SIGNATURE_MISMATCH] = "the signature does not match",
		[SIGNATURE_TIMESTAMP_OLD] =
			"the signature is right, but the timestamp too old",
		[SIGNATURE_TIMESTAMP_NEW] =
			"the signature is right, but the timestamp too new",
	};

	return texts[fault];
}

const char *signature_hint_text(enum signature_hint hint)
{
	static const char *const texts[] = {
		[SIGNATURE_HINT_NONE] = "",
		[SIGNATURE_HINT_NEWLINE_LOST] =
			"it matches the body with a newline at its end",
		[SIGNATURE_HINT_NEWLINE_ADDED] =
			"it matches the body without the newline at its end",
		[SIGNATURE_HINT_CRLF] =
			"it matches the body with LF in place of CR LF",
		[SIGNATURE_HINT_OTHER_SECRET] = "it matches the other secret",
		[SIGNATURE_HINT_SECRET_AS_TEXT] =
			"it was made with the secret's text, not decoded",
	};

	return texts[hint];
}
