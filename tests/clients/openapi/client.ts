// A client whose every call is typed by the API's own description: that it
// compiles says that paths, parameters, bodies and replies are described, that
// it runs says that they are described truly.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const baseUrl = process.env["TALLYD_URL"];
const key = process.env["TALLYD_DEMO_KEY"];
if (!baseUrl || !key) throw new Error("set TALLYD_URL and TALLYD_DEMO_KEY");

const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

const health = await api.GET("/health", { params: { query: { ready: 1 } } });
assert.equal(health.data?.status, "ok");

const today = await api.GET("/api/usage/today");
const summary: components["schemas"]["UsageSummary"] | undefined = today.data;
assert.equal(summary?.daily_limit, 250);

const history = await api.GET("/api/usage/history", { params: { query: { days: 7, fill: 1 } } });
const days: string[] = history.data?.map((day) => day.date) ?? [];
assert.equal(days.length, 7);

const recorded = await api.POST("/api/usage/record", {
  body: { credits: 1, model: "typed", prompt_tokens: 1500, completion_tokens: 500 },
});
assert.equal(recorded.data?.cost_usd, 0.075);

const made = await api.POST("/api/keys", { body: { label: "typed", scopes: ["read"], rate_limit: 5 } });
const secret: string | undefined = made.data?.key;
assert.ok(secret?.startsWith("codexible_"));
assert.ok(made.data);
const keys = await api.GET("/api/keys", { params: { query: { limit: 10 } } });
const mine = keys.data?.find((k) => k.id === made.data?.id);
assert.deepEqual(mine?.scopes, ["read"]);
assert.equal(mine?.last_used_at, null);
const gone = await api.DELETE("/api/keys/{key_id}", { params: { path: { key_id: made.data.id } } });
assert.equal(gone.data?.deleted, true);

const refused = await api.GET("/api/admin/users");
const error: components["schemas"]["ErrorDetail"] | undefined = refused.error?.error;
assert.equal(error?.code, "forbidden");
assert.equal(error?.status, 403);
console.log("the typed client is served");
