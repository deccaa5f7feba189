/*
 * guard_url.c - the rules for URLs; see guard.h.
 */
#include "net/guard.h"

#include <ctype.h>
#include <stdlib.h>

#include <curl/curl.h>

static enum tl_status deny(const char **rule, const char *name,
			   struct tl_err *err, const char *words)
{
	*rule = name;
	return tl_err_set(err, TL_DENIED, "%s", words);
}

enum tl_status net_url_set(CURLU *parsed, const char *text, const char **rule,
			   struct tl_err *err)
{
	size_t len = strnlen(text, NET_URL_MAX + 1);
	const char *colon = strchr(text, ':');
	CURLUcode rc;

	if (len > NET_URL_MAX)
		return deny(rule, NET_RULE_URL, err,
			    "the URL is longer than 2048 bytes");
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '\\')
			return deny(rule, NET_RULE_URL, err,
				    "the URL has blanks, backslashes or other "
				    "than ASCII; percent-encode them, give "
				    "a host in its xn-- form");
	/* libcurl takes https:/host and https:///host for https://host */
	if (colon != NULL && colon[1] == '/' &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789+-.") == (size_t)(colon - text) &&
	    strspn(colon + 1, "/") != 2)
		return deny(rule, NET_RULE_URL, err,
			    "the URL has not two slashes in front of its "
			    "host; give https://host/path");
	rc = curl_url_set(parsed, CURLUPART_URL, text,
			  CURLU_NON_SUPPORT_SCHEME);
	if (rc == CURLUE_OK)
		return TL_OK;
	if (rc == CURLUE_OUT_OF_MEMORY)
		return tl_err_set(err, TL_SYSTEM, "out of memory in libcurl");
	*rule = rc == CURLUE_NO_HOST || rc == CURLUE_BAD_HOSTNAME ||
				rc == CURLUE_BAD_IPV6
			? NET_RULE_HOST
		: rc == CURLUE_BAD_PORT_NUMBER ? NET_RULE_PORT
					       : NET_RULE_URL;
	return tl_err_set(err, TL_DENIED,
			  "the URL can not be read: %s; give https://host/path",
			  curl_url_strerror(rc));
}

/* Copies a part to dst; false when there is none or it does not fit. */
static bool part(CURLU *parsed, CURLUPart what, char *dst, size_t cap)
{
	char *text = NULL;
	bool ok;

	if (curl_url_get(parsed, what, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return false;
	ok = strlen(text) < cap;
	if (ok)
		memcpy(dst, text, strlen(text) + 1);
	curl_free(text);
	return ok;
}

static bool has_part(CURLU *parsed, CURLUPart what)
{
	char *text = NULL;

	if (curl_url_get(parsed, what, &text, 0) != CURLUE_OK)
		return false;
	curl_free(text);
	return true;
}

static enum tl_status judge_scheme(const struct net_rules *rules, CURLU *parsed,
				   struct net_target *target, const char **rule,
				   struct tl_err *err)
{
	char scheme[8] = "";

	if (part(parsed, CURLUPART_SCHEME, scheme, sizeof(scheme)) &&
	    (strcmp(scheme, "https") == 0 ||
	     (strcmp(scheme, "http") == 0 && rules->allow_http))) {
		target->https = scheme[4] == 's';
		return TL_OK;
	}
	return deny(rule, NET_RULE_SCHEME, err,
		    rules->allow_http
			    ? "the URL's scheme is neither https nor http"
			    : "the URL's scheme is not https");
}

static enum tl_status judge_port(const struct net_rules *rules, CURLU *parsed,
				 struct net_target *target, const char **rule,
				 struct tl_err *err)
{
	uint64_t port;
	char text[8];

	if (part(parsed, CURLUPART_PORT, text, sizeof(text)) &&
	    tl_parse_u64(tl_str_c(text), 1, 65535, &port)) {
		target->port = (uint16_t)port;
		if (port == (target->https ? NET_HTTPS_PORT : NET_HTTP_PORT))
			return TL_OK;
		for (uint32_t i = 0; i < rules->n_ports; i++)
			if (rules->ports[i] == port)
				return TL_OK;
	}
	*rule = NET_RULE_PORT;
	return tl_err_set(err, TL_DENIED,
			  "port %.7s is neither %d nor one of "
			  "egress.allowed_ports",
			  text, target->https ? NET_HTTPS_PORT : NET_HTTP_PORT);
}

/*
 * Some resolvers make an address of such a name ("1.2.3", "x.0x1f").  Those
 * that libcurl reads as addresses it has put in plain form before.
 */
static bool is_number(struct tl_str label)
{
	const char *digits = "0123456789";
	size_t i = 0;

	if (label.len >= 2 && label.ptr[0] == '0' &&
	    (label.ptr[1] == 'x' || label.ptr[1] == 'X')) {
		digits = "0123456789abcdefABCDEF";
		i = 2;
	}
	while (i < label.len && strchr(digits, label.ptr[i]) != NULL)
		i++;
	return i == label.len;
}

static bool is_name(const char *host)
{
	struct tl_str rest = tl_str_c(host), label = { NULL, 0 };
	size_t seen = 0;

	while (tl_str_split(&rest, '.', &label)) {
		if (label.len == 0 || label.len > 63)
			return false;
		seen += label.len + 1;
		for (size_t i = 0; i < label.len; i++)
			if (!isalnum((unsigned char)label.ptr[i]) &&
			    label.ptr[i] != '-' && label.ptr[i] != '_')
				return false;
	}
	return seen == strlen(host) + 1 && !is_number(label);
}

static bool is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t len = strlen(host), n = sizeof(name) - 1;

	return len >= n && strcmp(host + len - n, name) == 0 &&
	       (len == n || host[len - n - 1] == '.');
}

/*
 * Lower case, without brackets and without the dot of the DNS root.  The dot
 * leaves `parsed` too: 127.0.0.1. would be looked up as a name there.
 */
static bool tidy_host(CURLU *parsed, char *host)
{
	size_t len = strlen(host);

	if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
		len -= 2;
		memmove(host, host + 1, len);
		host[len] = '\0';
	} else if (len > 1 && host[len - 1] == '.') {
		host[--len] = '\0';
		if (curl_url_set(parsed, CURLUPART_HOST, host, 0) != CURLUE_OK)
			return false;
	}
	for (char *c = host; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return true;
}

static enum tl_status judge_host(const struct net_rules *rules, CURLU *parsed,
				 struct net_target *target, const char **rule,
				 struct tl_err *err)
{
	char host[NET_HOST_MAX + 3]; /* brackets, or the dot */
	struct tally_addr addr;

	if (!part(parsed, CURLUPART_HOST, host, sizeof(host)) ||
	    has_part(parsed, CURLUPART_ZONEID) || !tidy_host(parsed, host))
		return deny(
			rule, NET_RULE_HOST, err,
			"the URL's host is missing, too long or has a zone");
	target->literal = tally_addr_parse(tl_str_c(host), &addr);
	if (target->literal)
		memcpy(target->host, host, strlen(host) + 1);
	if (target->literal)
		return net_addr_check(rules, &addr, rule, err);
	if (strlen(host) > NET_HOST_MAX || !is_name(host))
		return deny(rule, NET_RULE_HOST, err,
			    "the URL's host is neither a name nor an address");
	memcpy(target->host, host, strlen(host) + 1);
	/* RFC 6761, 6.3: always the loopback, whatever a server says */
	if (is_localhost(host) && tally_addr_parse(TL_STR("127.0.0.1"), &addr))
		return net_addr_check(rules, &addr, rule, err);
	return TL_OK;
}

enum tl_status net_url_judge(const struct net_rules *rules, CURLU *parsed,
			     struct net_target *target_r, const char **rule,
			     struct tl_err *err)
{
	struct net_target target = { .port = 0 };
	enum tl_status st;

	st = judge_scheme(rules, parsed, &target, rule, err);
	if (st == TL_OK && (has_part(parsed, CURLUPART_USER) ||
			    has_part(parsed, CURLUPART_PASSWORD)))
		st = deny(rule, NET_RULE_USERINFO, err,
			  "the URL has a user name or password in it");
	if (st == TL_OK)
		st = judge_host(rules, parsed, &target, rule, err);
	if (st == TL_OK)
		st = judge_port(rules, parsed, &target, rule, err);
	if (st == TL_OK)
		*target_r = target;
	return st;
}

enum tl_status net_url_check(const struct net_rules *rules, const char *url,
			     struct net_target *target_r, const char **rule,
			     struct tl_err *err)
{
	CURLU *parsed = curl_url();
	enum tl_status st;

	if (parsed == NULL)
		return tl_err_set(err, TL_SYSTEM, "out of memory in libcurl");
	st = net_url_set(parsed, url, rule, err);
	if (st == TL_OK)
		st = net_url_judge(rules, parsed, target_r, rule, err);
	curl_url_cleanup(parsed);
	return st;
}
