/*
 * setting_check.c - what single values must look like.
 */
#include "config.h" /* _GNU_SOURCE: memrchr */

#include "conf/setting.h"

#include <sys/un.h>

#include "base/log.h"
#include "conf/conf.h"
#include "tally/addr.h"

#define LISTEN_FORMS                                                           \
	"give ADDR:PORT, [ADDR]:PORT, tls: and one of these, or unix:/path"

static bool all_of(struct tl_str s, const char *more)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') || strchr(more, c) != NULL))
			return false;
	}
	return true;
}

static bool starts(struct tl_str s, struct tl_str front)
{
	return s.len >= front.len && memcmp(s.ptr, front.ptr, front.len) == 0;
}

static struct tl_str behind(struct tl_str s, size_t n)
{
	return (struct tl_str){ s.ptr + n, s.len - n };
}

static enum tl_status refuse(struct tl_err *err, struct tl_str s,
			     const char *why)
{
	return tl_err_set(err, TL_INVALID, "'%.*s' %s", (int)s.len, s.ptr, why);
}

enum tl_status setting_check_path(struct tl_str s, struct tl_err *err)
{
	if (s.len > 0 && s.ptr[0] != '/')
		return refuse(err, s, "is not absolute; begin it with '/'");
	return TL_OK;
}

enum tl_status setting_check_url(struct tl_str s, struct tl_err *err)
{
	bool good = s.len == 0 ||
		    (starts(s, TL_STR("https://")) && s.len > 8) ||
		    (starts(s, TL_STR("http://")) && s.len > 7);

	for (size_t i = 0; i < s.len; i++)
		good = good && s.ptr[i] > ' ' && s.ptr[i] <= '~';
	if (good)
		return TL_OK;
	return refuse(err, s, "is no URL of http:// or https://");
}

uint32_t conf_ratio_ppm(const char *text)
{
	uint32_t ppm = 0, unit = 100000;
	bool behind_point = false;

	for (; *text != '\0'; text++) {
		if (*text == '.') {
			behind_point = true;
		} else if (!behind_point) {
			ppm += (uint32_t)(*text - '0') * 1000000;
		} else {
			ppm += (uint32_t)(*text - '0') * unit;
			unit /= 10;
		}
	}
	return ppm;
}

enum tl_status setting_check_ratio(struct tl_str s, struct tl_err *err)
{
	char text[9]; /* "0.123456" */
	bool good = s.len >= 1 && s.len < sizeof(text) && s.len != 2 &&
		    (s.ptr[0] == '0' || s.ptr[0] == '1');

	for (size_t i = 1; good && i < s.len; i++)
		good = i == 1 ? s.ptr[i] == '.'
			      : s.ptr[i] >= '0' && s.ptr[i] <= '9';
	if (good) {
		memcpy(text, s.ptr, s.len);
		text[s.len] = '\0';
		good = conf_ratio_ppm(text) <= 1000000;
	}
	if (good)
		return TL_OK;
	return refuse(err, s, "is no share; give 0 to 1, such as 0.05");
}

enum tl_status setting_check_word(struct tl_str s, struct tl_err *err)
{
	bool good = s.len >= 1 && s.len <= 100;

	for (size_t i = 0; i < s.len; i++)
		good = good && s.ptr[i] >= ' ' && s.ptr[i] <= '~';
	if (good)
		return TL_OK;
	return refuse(err, s, "is no name; give 1 to 100 printable characters");
}

/* Its words never show the secret itself. */
enum tl_status setting_check_header(struct tl_str s, struct tl_err *err)
{
	const char *eq = memchr(s.ptr, '=', s.len);
	struct tl_str name = { s.ptr, eq != NULL ? (size_t)(eq - s.ptr) : 0 };

	if (name.len > 0 && all_of(name, "-_") && name.len + 1 < s.len)
		return TL_OK;
	return tl_err_set(err, TL_INVALID,
			  "give name=value, several separated by commas");
}

enum tl_status setting_check_log_target(struct tl_str s, struct tl_err *err)
{
	struct tl_str file = TL_STR("file:"), syslog = TL_STR("syslog:");

	if (s.len == 0 || tl_str_eq(s, TL_STR("stderr")) ||
	    tl_str_eq(s, TL_STR("syslog")) || tl_str_eq(s, TL_STR("journald")))
		return TL_OK;
	if (starts(s, file) && s.len > file.len)
		return setting_check_path(behind(s, file.len), err);
	if (starts(s, syslog) && log_facility(behind(s, syslog.len)) >= 0)
		return TL_OK;
	if (starts(s, syslog))
		return refuse(err, s,
			      "names no facility; give daemon, user, local0 to "
			      "local7 or another one of syslog(3)");
	return refuse(err, s,
		      "is no target; give stderr, file:/path, syslog, "
		      "syslog:FACILITY or journald");
}

/* "/path/cert.pem /path/key.pem", or one path of a file with both. */
enum tl_status setting_check_pair(struct tl_str s, struct tl_err *err)
{
	struct tl_str rest = s, path;
	unsigned n = 0;

	while (tl_str_split(&rest, ' ', &path)) {
		if (path.len == 0)
			continue;
		if (path.ptr[0] != '/')
			return refuse(err, path,
				      "is not absolute; begin it with '/'");
		n++;
	}
	if (n > 2)
		return refuse(err, s,
			      "has more than two paths; separate pairs of "
			      "certificate and key by commas");
	return TL_OK;
}

enum tl_status setting_check_state_dir(struct tl_str s, struct tl_err *err)
{
	size_t n = s.len;

	if (s.len == 0)
		return tl_err_set(err, TL_INVALID,
				  "it is empty; give a directory");
	/* what is left of it when its slashes are cut off must be sayable */
	while (n > 1 && s.ptr[n - 1] == '/')
		n--;
	if (s.ptr[n - 1] == ' ')
		return refuse(err, s, "ends in a blank; take it away");
	if (s.ptr[n - 1] == '\\')
		return refuse(err, s,
			      "ends in a backslash, by which a line would go on; "
			      "take it away");
	return setting_check_path(s, err);
}

static enum tl_status check_unix(struct tl_str s, struct tl_err *err)
{
	struct tl_str path = behind(s, sizeof("unix:") - 1);

	if (path.len < 2 || path.ptr[0] != '/')
		return refuse(err, s, "has no absolute path; give unix:/path");
	if (path.len >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return refuse(err, s,
			      "is too long for a socket; "
			      "use at most 107 bytes");
	return TL_OK;
}

static enum tl_status check_addr_port(struct tl_str s, const char *forms,
				      struct tl_err *err)
{
	const char *colon = s.len > 0 ? memrchr(s.ptr, ':', s.len) : NULL;
	struct tally_addr addr;
	struct tl_str host;
	uint64_t port;
	bool bracket;

	if (colon == NULL)
		return tl_err_set(err, TL_INVALID, "'%.*s' has no port; %s",
				  (int)s.len, s.ptr, forms);
	host = (struct tl_str){ s.ptr, (size_t)(colon - s.ptr) };
	bracket = host.len > 2 && host.ptr[0] == '[' &&
		  host.ptr[host.len - 1] == ']';
	if (bracket)
		host = (struct tl_str){ host.ptr + 1, host.len - 2 };
	/* [v6] only in brackets, v4 only without. */
	if (!tally_addr_parse(host, &addr) ||
	    (memchr(host.ptr, ':', host.len) != NULL) != bracket)
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' has no numeric address; %s",
				  (int)s.len, s.ptr, forms);
	if (!tl_parse_u64(behind(s, (size_t)(colon - s.ptr) + 1), 1, 65535,
			  &port))
		return refuse(err, s, "has no port from 1 to 65535");
	return TL_OK;
}

enum tl_status setting_check_listen(struct tl_str s, struct tl_err *err)
{
	if (starts(s, TL_STR("unix:")))
		return check_unix(s, err);
	if (starts(s, TL_STR("tls:")))
		s = behind(s, sizeof("tls:") - 1);
	return check_addr_port(s, LISTEN_FORMS, err);
}

enum tl_status setting_check_nameserver(struct tl_str s, struct tl_err *err)
{
	struct tally_addr addr;

	if (tally_addr_parse(s, &addr)) /* port 53 */
		return TL_OK;
	return check_addr_port(s, "give ADDR, ADDR:PORT or [ADDR]:PORT", err);
}

enum tl_status setting_check_port(struct tl_str s, struct tl_err *err)
{
	uint64_t port;

	if (!tl_parse_u64(s, 1, 65535, &port))
		return refuse(err, s, "is no port; give 1 to 65535");
	return TL_OK;
}

enum tl_status setting_check_instance(struct tl_str s, struct tl_err *err)
{
	if (s.len > 32 || !all_of(s, "_-"))
		return refuse(err, s,
			      "cannot name a segment; "
			      "use 1 to 32 of A-Z a-z 0-9 _ -");
	return TL_OK;
}

/* Its words never show the secret itself. */
enum tl_status setting_check_token(struct tl_str s, struct tl_err *err)
{
	bool good = s.len == 0 || (s.len >= 32 && s.len <= 200);

	for (size_t i = 0; i < s.len; i++)
		good = good && s.ptr[i] > ' ' && s.ptr[i] <= '~';
	if (good)
		return TL_OK;
	return tl_err_set(err, TL_INVALID,
			  "give 32 to 200 printable characters without "
			  "blanks, such as those of 'openssl rand -hex 32'");
}

enum tl_status setting_check_origin(struct tl_str s, struct tl_err *err)
{
	struct tl_str host = s;

	if (starts(s, TL_STR("https://")))
		host = behind(s, sizeof("https://") - 1);
	else if (starts(s, TL_STR("http://")))
		host = behind(s, sizeof("http://") - 1);
	/* Browsers send neither path nor upper case, so it would not match. */
	if (host.ptr == s.ptr || host.len == 0 || !all_of(host, ".-_:[]"))
		return refuse(err, s,
			      "is no web origin; give http:// or https://, "
			      "a host, and a port if it is unusual");
	for (size_t i = 0; i < host.len; i++)
		if (host.ptr[i] >= 'A' && host.ptr[i] <= 'Z')
			return refuse(err, s,
				      "has upper case, which browsers "
				      "do not send; write it lower");
	return TL_OK;
}

enum tl_status setting_check_hostaddr(struct tl_str s, struct tl_err *err)
{
	struct tl_str rest = s, piece;
	struct tally_addr addr;

	while (tl_str_split(&rest, ',', &piece)) {
		piece = tl_str_trim(piece);
		if (!tally_addr_parse(piece, &addr))
			return refuse(err, piece,
				      "is not an address; give a numeric one "
				      "for each host of database.url");
	}
	return TL_OK;
}

enum tl_status setting_check_user(struct tl_str s, struct tl_err *err)
{
	if (s.len == 0 || s.len > 32 || s.ptr[0] == '-' || !all_of(s, "_.-"))
		return refuse(err, s, "is no account name");
	return TL_OK;
}

enum tl_status setting_check_group(struct tl_str s, struct tl_err *err)
{
	return s.len == 0 ? TL_OK : setting_check_user(s, err);
}

enum tl_status setting_check_brand(struct tl_str s, struct tl_err *err)
{
	if (s.len == 0 || s.len > 32 || !all_of(s, ".-"))
		return refuse(err, s,
			      "cannot begin a key; "
			      "use 1 to 32 of A-Z a-z 0-9 . -");
	return TL_OK;
}

enum tl_status setting_check_email(struct tl_str s, struct tl_err *err)
{
	const char *at = memchr(s.ptr, '@', s.len);

	if (at == NULL || at == s.ptr || at == s.ptr + s.len - 1 ||
	    s.len > 255 || memchr(s.ptr, ' ', s.len) != NULL)
		return refuse(err, s,
			      "is no e-mail address; "
			      "separate several by commas");
	return TL_OK;
}
