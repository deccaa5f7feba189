// The requests of an API client, once in JSON and once in MessagePack; both
// must give the same answers.  Wants TALLYD_URL, TALLYD_DEMO_KEY and a demo
// daemon with limits.enabled = no and the demo user in admin.emails.
import assert from "node:assert/strict";
import { decode, encode } from "@msgpack/msgpack";

const url = process.env.TALLYD_URL;
const demo = process.env.TALLYD_DEMO_KEY;
const starter = "codexible_demo_starter_2026";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/;
const DATE = /^\d{4}-\d\d-\d\d$/;

const codecs = {
  json: {
    type: "application/json",
    encode: (value) => JSON.stringify(value),
    decode: (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
  },
  msgpack: {
    type: "application/msgpack",
    encode: (value) => encode(value),
    decode: (bytes) => decode(bytes),
  },
};

let checks = 0;

function client(codec) {
  return async function call(method, path, { key = demo, body, headers = {} } = {}) {
    const reply = await fetch(url + path, {
      method,
      headers: {
        Accept: codec.type,
        ...(key === null ? {} : { Authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { "Content-Type": codec.type }),
        ...headers,
      },
      body: body === undefined ? undefined : codec.encode(body),
    });
    const bytes = new Uint8Array(await reply.arrayBuffer());
    checks++;
    if (bytes.length > 0)
      assert.equal(reply.headers.get("content-type"), codec.type, `${method} ${path}`);
    return {
      status: reply.status,
      headers: reply.headers,
      body: bytes.length > 0 ? codec.decode(bytes) : undefined,
    };
  };
}

function is(reply, status, what) {
  assert.equal(reply.status, status, `${what}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}

function error(reply, status, code, what) {
  const body = is(reply, status, what);
  assert.equal(body.error.code, code, what);
  assert.equal(body.error.status, status, what);
  assert.equal(typeof body.error.message, "string", what);
}

function members(object, names, what) {
  assert.deepEqual(Object.keys(object).sort(), [...names].sort(), what);
}

const keyView = ["id", "prefix", "label", "status", "created_at", "last_used_at", "expires_at", "scopes",
  "allowed_ips", "rate_limit", "daily_credit_limit", "metadata"];

async function validate(call) {
  let b = is(await call("POST", "/api/auth/validate", { key: null, body: { token: `  ${demo} ` } }), 200, "validate");
  assert.equal(b.valid, true);
  assert.deepEqual(b.user, { email: "demo@codexible.me", name: "Demo User", plan: "Pro", status: "active" });
  assert.equal(b.session_source, "local");
  assert.equal(b.message, null);
  b = is(await call("POST", "/api/auth/validate", { key: null, body: { token: "nobody-has-this-key" } }), 200, "validate unknown");
  assert.deepEqual(b, { valid: false, user: null, role: null, session_source: null, degraded: false, message: "Invalid token" });
  b = is(await call("POST", "/api/auth/validate", { key: null, body: { token: " " } }), 200, "validate empty");
  assert.equal(b.message, "Token is required");
  error(await call("POST", "/api/auth/validate", { key: null, body: { token: 5 } }), 400, "bad_request", "validate number");
  error(await call("POST", "/api/auth/validate", { key: null, body: {} }), 400, "bad_request", "validate nothing");
}

async function usage(call) {
  const before = is(await call("GET", "/api/usage/today"), 200, "today");
  members(before, ["credits_used", "daily_limit", "request_count", "date"]);
  assert.match(before.date, DATE);
  const b = is(await call("POST", "/api/usage/record", {
    body: { credits: 2, model: "gpt-ü", prompt_tokens: 1500, completion_tokens: 500 },
  }), 200, "record");
  members(b, ["recorded", "credits_charged", "cost_usd", "usage"]);
  assert.equal(b.recorded, true);
  assert.equal(b.credits_charged, 2);
  assert.equal(b.cost_usd, 0.075);
  assert.equal(b.usage.credits_used, before.credits_used + 2);
  assert.equal(b.usage.request_count, before.request_count + 1);
  for (const body of [{ credits: 0 }, { credits: 1000001 }, { credits: "1" }, { model: "" }, { prompt_tokens: -1 }])
    error(await call("POST", "/api/usage/record", { body }), 400, "bad_request", `record ${JSON.stringify(body)}`);
  error(await call("POST", "/api/usage/record", { key: starter, body: { credits: 1000000 } }), 429, "quota_exceeded", "record too much");

  const history = is(await call("GET", "/api/usage/history?days=7&fill=1"), 200, "history");
  assert.equal(history.length, 7);
  history.forEach((day) => members(day, ["date", "credits_used", "request_count", "cost_usd"]));
  assert.equal(history[0].date, before.date);
  assert.equal(history[0].credits_used, before.credits_used + 2);
  assert.ok(history[0].date > history[6].date, "newest first");
  error(await call("GET", "/api/usage/history?days=0"), 400, "bad_request", "history 0");
  error(await call("GET", "/api/usage/history?days=91"), 400, "bad_request", "history 91");
  error(await call("GET", "/api/usage/history?days=x"), 400, "bad_request", "history x");

  const detailed = is(await call("GET", "/api/usage/detailed?days=30&limit=5"), 200, "detailed");
  assert.equal(detailed.length, 5);
  for (const row of detailed) {
    members(row, ["id", "model", "prompt_tokens", "completion_tokens", "cost_usd", "created_at", "date", "credits"]);
    assert.match(row.id, UUID);
    assert.match(row.created_at, TIME);
  }
  const models = is(await call("GET", "/api/usage/models?days=30"), 200, "models");
  models.forEach((row) => members(row, ["model", "total_cost", "requests", "prompt_tokens", "completion_tokens"]));
  for (let i = 1; i < models.length; i++)
    assert.ok(models[i - 1].total_cost >= models[i].total_cost, "highest cost first");
  const hourly = is(await call("GET", "/api/usage/hourly"), 200, "hourly");
  assert.deepEqual(hourly.map((h) => h.hour), [...Array(24).keys()]);
  error(await call("GET", "/api/usage/hourly?date=2026-02-30"), 400, "bad_request", "hourly 30 February");
  members(is(await call("GET", "/api/usage/insights"), 200, "insights"),
    ["total_requests", "total_credits", "total_cost_usd", "avg_daily_cost_usd", "prompt_tokens", "completion_tokens", "peak_hour"]);
  const overview = is(await call("GET", "/api/dashboard/overview"), 200, "overview");
  members(overview, ["user", "usage", "key", "role", "session_source", "degraded"]);
  assert.equal(overview.user.email, "demo@codexible.me");
  assert.equal(overview.key.prefix, "codexible_demo");
}

async function keys(call) {
  const made = await call("POST", "/api/keys", {
    body: { label: "  Schlüssel 🔑 ", scopes: ["read", "write"], allowed_ips: ["127.0.0.0/8", "::1/128"], rate_limit: 50,
      daily_credit_limit: 10, metadata: { team: "a", n: [1, 2] } },
  });
  const b = is(made, 201, "create");
  members(b, ["id", "key", "prefix", "label"]);
  assert.match(b.key, /^codexible_[0-9a-f]{32}$/);
  assert.equal(b.prefix, b.key.slice(0, 20));
  assert.equal(b.label, "Schlüssel 🔑");
  assert.equal(made.headers.get("location"), `/api/keys/${b.id}`);
  assert.equal(made.headers.get("cache-control"), "no-store");

  let list = is(await call("GET", "/api/keys"), 200, "list");
  const view = list.find((k) => k.id === b.id);
  members(view, keyView, "KeyView");
  assert.deepEqual(view.scopes, ["read", "write"]);
  assert.deepEqual(view.metadata, { team: "a", n: [1, 2] });
  assert.equal(view.rate_limit, 50);
  assert.equal(view.last_used_at, null);
  assert.ok(!JSON.stringify(list).includes(b.key), "the secret is not listed");

  is(await call("GET", "/api/usage/today", { key: b.key }), 200, "the new key works");
  assert.deepEqual(is(await call("PATCH", `/api/keys/${b.id}`, { body: { label: "New" } }), 200, "rename"), { updated: true });
  error(await call("PATCH", `/api/keys/${b.id}`, { body: {} }), 400, "bad_request", "rename to nothing");
  error(await call("PATCH", "/api/keys/nonsense", { body: { label: "x" } }), 400, "bad_request", "bad id");
  error(await call("PATCH", `/api/keys/${b.id}`, { key: starter, body: { label: "x" } }), 404, "not_found", "another's key");

  const rotated = is(await call("POST", `/api/keys/${b.id}/rotate`, { body: { grace_seconds: 600 } }), 201, "rotate");
  assert.equal(rotated.label, "New");
  assert.notEqual(rotated.id, b.id);
  is(await call("GET", "/api/usage/today", { key: b.key }), 200, "old key in its grace");
  is(await call("GET", "/api/usage/today", { key: rotated.key }), 200, "rotated key");
  assert.deepEqual(is(await call("DELETE", `/api/keys/${b.id}`), 200, "end the grace"), { deleted: true });
  error(await call("GET", "/api/usage/today", { key: b.key }), 401, "unauthorized", "after the grace");
  assert.deepEqual(is(await call("DELETE", `/api/keys/${rotated.id}`), 200, "revoke"), { deleted: true });
  error(await call("DELETE", `/api/keys/${rotated.id}`), 404, "not_found", "revoke again");
  error(await call("GET", "/api/usage/today", { key: rotated.key }), 401, "unauthorized", "revoked");
  for (const body of [{ label: "" }, { label: "x".repeat(101) }, { label: 5 }, { rate_limit: 0 }, { allowed_ips: ["nonsense"] },
    { expires_at: "tomorrow" }, { expires_at: "2001-01-01T00:00:00Z" }, { metadata: [] }])
    error(await call("POST", "/api/keys", { body }), 400, "bad_request", `create ${JSON.stringify(body)}`);
}

async function lists(call) {
  const first = await call("GET", "/api/usage/detailed?days=30&limit=3");
  is(first, 200, "first page");
  assert.equal(first.headers.get("cache-control"), "private, no-cache");
  const etag = first.headers.get("etag");
  const again = await call("GET", "/api/usage/detailed?days=30&limit=3", { headers: { "If-None-Match": etag } });
  assert.equal(again.status, 304);
  assert.equal(again.body, undefined);
  const link = /^<([^>]+)>; rel="next"$/.exec(first.headers.get("link"));
  assert.ok(link, "Link");
  const second = is(await call("GET", link[1]), 200, "second page");
  assert.equal(second.length, 3);
  assert.ok(!second.some((row) => first.body.some((r) => r.id === row.id)), "pages do not overlap");
}

async function verify(call) {
  const b = is(await call("POST", "/api/verify/batch", { body: { items: [{ key: demo }, { key: "nobody-has-this-key" }] } }), 200, "batch");
  assert.equal(b.results.length, 2);
  assert.equal(b.results[0].valid, true);
  assert.equal(b.results[1].valid, false);
}

async function admin(call) {
  const status = is(await call("GET", "/api/admin/status"), 200, "admin status");
  members(status, ["user_count", "active_token_count", "today_credits_used", "store"]);
  assert.equal(status.store.database_reachable, true);
  const email = `suite-${Date.now()}-${Math.floor(Math.random() * 1e6)}@example.com`;
  const user = is(await call("POST", "/api/admin/users", { body: { email, name: "Suite", plan: "Starter" } }), 201, "user");
  assert.match(user.id, UUID);
  error(await call("POST", "/api/admin/users", { body: { email: email.toUpperCase(), plan: "Starter" } }), 409, "conflict", "same e-mail");
  error(await call("POST", "/api/admin/users", { body: { email: "x", plan: "Starter" } }), 400, "bad_request", "bad e-mail");
  const found = is(await call("GET", `/api/admin/users?q=${encodeURIComponent(email.slice(0, 20))}`), 200, "search");
  members(found.find((u) => u.id === user.id), ["id", "email", "name", "status", "plan", "key_count"]);
  const token = is(await call("POST", "/api/admin/tokens", { body: { user_id: user.id, label: "Theirs" } }), 201, "token");
  is(await call("GET", "/api/usage/today", { key: token.key }), 200, "their key");
  assert.deepEqual(is(await call("PATCH", `/api/admin/users/${user.id}`, { body: { status: "suspended" } }), 200, "suspend"), { updated: true });
  error(await call("GET", "/api/usage/today", { key: token.key }), 403, "forbidden", "suspended");
  is(await call("PATCH", `/api/admin/users/${user.id}`, { body: { status: "active" } }), 200, "activate");
  is(await call("GET", "/api/usage/today", { key: token.key }), 200, "active again");
  const tokens = is(await call("GET", `/api/admin/tokens?q=${encodeURIComponent(token.prefix)}`), 200, "tokens");
  members(tokens.find((t) => t.id === token.id),
    ["id", "user_id", "user_email", "prefix", "label", "status", "created_at", "last_used_at", "revoked_at"]);
  is(await call("DELETE", `/api/admin/tokens/${token.id}`), 200, "revoke theirs");
  error(await call("GET", "/api/usage/today", { key: token.key }), 401, "unauthorized", "revoked by an admin");
  const { logs } = is(await call("GET", "/api/admin/logs?limit=20"), 200, "logs");
  logs.forEach((row) => members(row, ["timestamp", "actor", "action", "target", "details"]));
  assert.ok(logs.some((row) => row.action === "token.revoke" && row.target === token.id), "audited");
  members(is(await call("GET", "/api/admin/usage"), 200, "admin usage"), ["usage"]);
  for (const path of ["/api/admin/plans", "/api/admin/limits"])
    assert.ok(Array.isArray(is(await call("GET", path), 200, path)));
  error(await call("GET", "/api/admin/users", { key: starter }), 403, "forbidden", "no admin");
}

async function refusals(call) {
  const none = await call("GET", "/api/usage/today", { key: null });
  error(none, 401, "unauthorized", "no key");
  assert.equal(none.headers.get("www-authenticate"), "Bearer");
  assert.match(none.headers.get("x-request-id"), /^[A-Za-z0-9._-]{1,64}$/);
  error(await call("GET", "/api/nothing"), 404, "not_found", "unknown path");
  const wrong = await call("DELETE", "/api/usage/today");
  error(wrong, 405, "method_not_allowed", "wrong method");
  assert.match(wrong.headers.get("allow"), /GET/);
  error(await call("POST", "/api/keys", { headers: { "Content-Type": "text/plain" }, body: {} }), 415, "unsupported_media_type", "text/plain");
  error(await call("POST", "/api/keys", { body: { label: "x".repeat(20000) } }), 413, "payload_too_large", "large");
}

for (const [name, codec] of Object.entries(codecs)) {
  const call = client(codec);

  for (const part of [validate, usage, keys, lists, verify, admin, refusals]) {
    try {
      await part(call);
    } catch (trouble) {
      console.error(`${name}: ${part.name}: ${trouble.stack}`);
      process.exitCode = 1;
    }
  }
}
console.log(`${checks} answers looked at`);
