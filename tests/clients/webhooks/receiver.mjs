// Makes an endpoint, lets events come and verifies each with the package that
// receivers use: what was sent is accepted, and what was changed is not.
import assert from "node:assert/strict";
import http from "node:http";
import { Webhook } from "standardwebhooks";

const { TALLYD_URL, TALLYD_DEMO_KEY, HOOK_PORT } = process.env;
const calls = [];
let awake = () => {};

const server = http.createServer((request, response) => {
	const pieces = [];
	request.on("data", (piece) => pieces.push(piece));
	request.on("end", () => {
		const body = Buffer.concat(pieces).toString("utf8");
		// the first call of each message fails: it must come again
		const again = calls.some(
			(c) => c.headers["webhook-id"] === request.headers["webhook-id"]);
		calls.push({ headers: request.headers, body });
		response.writeHead(again ? 200 : 503, { "Retry-After": "1" });
		response.end();
		awake();
	});
});
await new Promise((done) => server.listen(Number(HOOK_PORT), "127.0.0.1", done));

async function api(method, path, body) {
	const answer = await fetch(TALLYD_URL + path, {
		method,
		headers: {
			Authorization: `Bearer ${TALLYD_DEMO_KEY}`,
			"Content-Type": "application/json",
		},
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	const value = await answer.json();
	assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${JSON.stringify(value)}`);
	return value;
}

async function calls_to_be(n) {
	const end = Date.now() + 60000;
	while (calls.length < n) {
		assert.ok(Date.now() < end, `${calls.length} calls, want ${n}`);
		await new Promise((done) => {
			awake = done;
			setTimeout(done, 200);
		});
	}
}

function accepted(call, secret) {
	try {
		return new Webhook(secret).verify(call.body, call.headers);
	} catch {
		return null;
	}
}

const hook = await api("POST", "/api/webhooks", {
	url: `http://127.0.0.1:${HOOK_PORT}/hook`,
	events: ["*"],
});
await api("POST", `/api/webhooks/${hook.id}/test`);
await api("POST", "/api/keys", { label: "schlüssel \u{1f511}" });
await calls_to_be(4);
for (const call of calls) {
	const message = accepted(call, hook.secret);
	assert.ok(message, call.body);
	assert.ok(["webhook.test", "key.created"].includes(message.type));
	assert.equal(accepted({ ...call, body: `${call.body} ` }, hook.secret), null);
	assert.equal(accepted(call, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), null);
}
assert.equal(new Set(calls.map((c) => c.headers["webhook-id"])).size, 2);
assert.ok(calls.some((c) => JSON.parse(c.body).data.label === "schlüssel \u{1f511}"));

// while a secret is replaced, both are accepted
const fresh = await api("POST", `/api/webhooks/${hook.id}/rotate`, { overlap_seconds: 600 });
calls.length = 0;
await api("POST", `/api/webhooks/${hook.id}/test`);
await calls_to_be(1);
assert.ok(accepted(calls[0], hook.secret));
assert.ok(accepted(calls[0], fresh.secret));

await api("DELETE", `/api/webhooks/${hook.id}`);
server.close();
server.closeAllConnections?.();
console.log("deliveries verified by standardwebhooks");
