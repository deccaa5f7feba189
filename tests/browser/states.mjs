// states.mjs - refusals and faults: what a page says, and what it keeps.
import assert from 'node:assert/strict';
import {
	BUSINESS, call, dropKey, eventually, makeKey, makeUser, sleep,
} from './lib.mjs';

const WIDGET_CALLS = [
	['Daily spending', '**/api/usage/history*'],
	['Cost by model', '**/api/usage/models*'],
	['Activity by hour', '**/api/usage/hourly*'],
	['Recent activity', '**/api/usage/detailed*'],
];

const answers = (status, code, message, headers = {}) => (route) =>
	route.fulfill({
		status,
		headers: { 'content-type': 'application/json', ...headers },
		body: JSON.stringify({ error: { code, message, status } }),
	});

const banner = (v, begin) => v.alert(begin);

async function revoked(come) {
	const user = await makeUser('leaver');
	const session = await makeKey(user.key, { label: 'session' });
	const v = await come({ key: session.key });

	await v.goes('/dashboard');
	await v.settles();
	await dropKey(user.key, session.id); // the stream of events tells
	await v.at('/dashboard/login');
	await v.alert('Your key is no longer accepted');
	assert.equal(await v.page.evaluate(() =>
		sessionStorage.getItem('codexible_token')), null);

	// it is not tried again
	const asked = [];

	v.page.on('request', (rq) => asked.push(rq.headers().authorization));
	await sleep(1000);
	assert.deepEqual(asked.filter((a) => a !== undefined), []);
}

async function suspended(come) {
	const user = await makeUser('suspect');
	const v = await come({ key: user.key });

	await v.goes('/dashboard');
	await v.settles();
	const done = await call(BUSINESS, `/api/admin/users/${user.id}`,
		{ method: 'PATCH', body: { status: 'suspended' } });

	assert.equal(done.status, 200);
	await v.page.reload();
	await v.alert('Account suspended');
	assert.notEqual(new URL(v.page.url()).pathname, '/dashboard/admin');
	await v.shot('state-suspended');
}

async function notAnAdmin(come) {
	const user = await makeUser('climber');
	const v = await come({ key: user.key });

	await v.goes('/dashboard/admin');
	await v.sees(v.role('heading', 'Admin', { level: 1 }));
	await v.alert('No admin rights');
	await v.at('/dashboard/admin');
	await v.role('link', 'Overview').click();
	await v.at('/dashboard');
	await v.settles();
}

// limits.window_ms is short here, so the page can be watched coming back.
async function rateLimited(come) {
	const user = await makeUser('hurrier');
	const slow = await makeKey(user.key, { label: 'slow', rate_limit: 40 });
	const v = await come({ key: slow.key });

	await v.page.clock.install();
	await v.goes('/dashboard');
	await v.settles();
	const before = await v.page.getByTestId('balance')
		.getAttribute('data-value');

	// the window is full at the moment when the page asks, not earlier
	await v.page.route('**/api/usage/history*', async (route) => {
		while ((await call(slow.key, '/api/usage/today')).status === 200);
		await route.continue();
	}, { times: 1 });
	await v.stand(); // else the few seconds were over before all is looked at
	await v.choose('Range', '30 days');
	const words = v.role('alert').filter({ hasText: 'Too many requests' });
	const clock = v.page.getByTestId('countdown');

	await v.ticks(() => words.first().isVisible(), 'it is told');
	const first = await clock.innerText();

	assert.match(first, /\d:\d\d/);
	assert.equal(await v.page.getByTestId('balance')
		.getAttribute('data-value'), before, 'what was shown stays');
	await v.page.clock.resume();
	await v.shot('state-rate-limited');
	await eventually(async () => {
		const [left] = await clock.allInnerTexts();

		return left === undefined || left < first;
	}, 'it counts down');
	await v.gone(words);
	await eventually(async () => await v.page.locator('table', {
		has: v.page.locator('caption', { hasText: 'Daily spending' }),
	}).locator('tbody tr').count() === 30, 'the request is tried again');
	assert.equal(new URL(v.page.url()).pathname, '/dashboard');
}

async function quotaExceeded(come) {
	const user = await makeUser('spender');
	const v = await come({ key: user.key });

	await v.goes('/dashboard');
	await v.settles();
	assert.equal((await call(user.key, '/api/gate?cost=250')).status, 200);
	assert.equal((await call(user.key, '/api/gate')).status, 429);
	await v.page.reload();
	const text = await banner(v, 'Daily credits used up');

	assert.match(text, /\d/, 'it names the time');
	await v.shot('state-quota');
	await v.accessible('a page without credits');
	await v.role('link', 'Settings').click();
	await v.sees(v.role('heading', 'Settings', { level: 1 }));
}

// The same answer to a call of the page itself (metering.meter_scope = all).
async function quotaAnswered(come) {
	const user = await makeUser('metered');
	const v = await come({ key: user.key });

	await v.page.route('**/api/usage/history*', answers(429, 'quota_exceeded',
		'Daily credit limit reached (250/250)', { 'retry-after': '3600' }));
	await v.goes('/dashboard');
	await banner(v, 'Daily credits used up');
	await v.role('link', 'Settings').click();
	await v.sees(v.role('heading', 'Settings', { level: 1 }));
}

async function widgetsFailAlone(come) {
	const user = await makeUser('unlucky');
	const v = await come({ key: user.key });

	for (const [name, pattern] of WIDGET_CALLS) {
		await v.page.route(pattern, answers(500, 'internal_error', 'a fault'));
		await v.goes('/dashboard');
		await v.alert(/./, v.region(name));
		for (const [other] of WIDGET_CALLS)
			if (other !== name)
				assert.equal(await v.region(other).getByRole('alert')
					.count(), 0, `${name} fails and so does ${other}`);
		await v.sees(v.page.getByTestId('balance'));
		await v.page.unroute(pattern);
		await v.region(name).getByRole('button', { name: 'Retry' }).click();
		await v.gone(v.region(name).getByRole('alert'));
	}
}

export default [
	['states', 'a rate limit counts down and passes', rateLimited],
	['states', 'each widget fails alone and can be tried again',
		widgetsFailAlone],
	['states', 'a revoked key leads to the door', revoked],
	['states', 'a suspended account is told', suspended],
	['states', 'who is no admin is told', notAnAdmin],
	['states', 'used up credits are told', quotaExceeded],
	['states', 'a quota that refuses the page is told', quotaAnswered],
];
