// What the web client of the earlier system does on its login and dashboard
// pages, call by call, with its own expectations: any 2xx is a success, an
// error is told by its code.  Wants TALLYD_URL, TALLYD_DEMO_KEY and
// TALLYD_ORIGIN, an origin of server.allowed_origins.
import assert from "node:assert/strict";

const base = process.env.TALLYD_URL;
const origin = process.env.TALLYD_ORIGIN;
let token = "";

async function request(path, init = {}) {
  const reply = await fetch(base + path, {
    ...init,
    headers: {
      Origin: origin,
      ...(init.body ? { "Content-Type": "application/json" } : {}),
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
    },
  });
  assert.equal(reply.headers.get("access-control-allow-origin"), origin, `${path}: CORS`);
  const body = await reply.json();
  if (!reply.ok)
    throw Object.assign(new Error(body.error.message), { code: body.error.code, status: reply.status });
  return body;
}

async function preflight(path, method) {
  const reply = await fetch(base + path, {
    method: "OPTIONS",
    headers: { Origin: origin, "Access-Control-Request-Method": method,
      "Access-Control-Request-Headers": "authorization,content-type" },
  });
  assert.ok(reply.ok, `${path}: preflight ${reply.status}`);
  assert.ok(reply.headers.get("access-control-allow-methods").includes(method));
  assert.match(reply.headers.get("access-control-allow-headers").toLowerCase(), /authorization/);
}

const post = (path, body) => request(path, { method: "POST", body: body && JSON.stringify(body) });

// The login page: a wrong token, then the right one with what people paste.
await preflight("/api/auth/validate", "POST");
let session = await post("/api/auth/validate", { token: "codexible_nobody_has_this" });
assert.equal(session.valid, false);
assert.equal(session.message, "Invalid token");
session = await post("/api/auth/validate", { token: ` ${process.env.TALLYD_DEMO_KEY}\n` });
assert.equal(session.valid, true);
assert.equal(session.user.plan, "Pro");
assert.equal(session.session_source, "local");
token = process.env.TALLYD_DEMO_KEY;

// The dashboard page: all widgets at once.
await preflight("/api/dashboard/overview", "GET");
const [overview, history, models, detailed, hourly, today, keys] = await Promise.all([
  request("/api/dashboard/overview"),
  request("/api/usage/history?days=7"),
  request("/api/usage/models?days=7"),
  request("/api/usage/detailed?days=7&limit=35"),
  request("/api/usage/hourly"),
  request("/api/usage/today"),
  request("/api/keys"),
]);
assert.equal(overview.user.email, session.user.email);
assert.equal(overview.usage.daily_limit, 250);
assert.equal(overview.usage.credits_used, today.credits_used);
assert.ok(overview.usage.daily_limit - overview.usage.credits_used >= 0);
assert.equal(overview.role, session.role);
assert.ok(history.length >= 2 && history.length <= 7);
const spent = history.reduce((sum, day) => sum + day.cost_usd, 0);
assert.ok(spent > 0, "the demo account has a history");
assert.ok(models.length > 1 && models.every((m) => m.model && m.total_cost >= 0 && m.requests > 0));
assert.ok(detailed.length > 0 && detailed.length <= 35);
assert.ok(detailed.every((row) => !Number.isNaN(Date.parse(row.created_at)) && row.prompt_tokens >= 0));
assert.ok(hourly.every((h) => h.hour >= 0 && h.hour < 24 && h.requests >= 0));
assert.ok(keys.some((k) => k.label === "Demo Pro Key" && k.status === "active"));

// The settings page: make, rename, rotate, revoke a key.
for (const method of ["POST", "PATCH", "DELETE"])
  await preflight("/api/keys", method);
const made = await post("/api/keys", { label: "From the web" });
assert.match(made.key, /^codexible_[0-9a-f]{32}$/);
assert.equal((await request(`/api/keys/${made.id}`, { method: "PATCH", body: JSON.stringify({ label: "Renamed" }) })).updated, true);
const rotated = await post(`/api/keys/${made.id}/rotate`);
assert.equal(rotated.label, "Renamed");
assert.equal((await request(`/api/keys/${rotated.id}`, { method: "DELETE" })).deleted, true);
await assert.rejects(request(`/api/keys/${rotated.id}`, { method: "DELETE" }), { code: "not_found", status: 404 });

// A key that was revoked meanwhile sends the page back to the login.
token = rotated.key;
await assert.rejects(request("/api/dashboard/overview"), { code: "unauthorized", status: 401 });
token = "";
await assert.rejects(request("/api/dashboard/overview"), { code: "unauthorized", status: 401 });
console.log("the earlier client is served");
