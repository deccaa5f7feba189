// login.mjs - the door, and how much has to come through it.
import assert from 'node:assert/strict';
import { BUSINESS, PRO, call, eventually, makeUser } from './lib.mjs';

const FIRST_LOAD_MAX = 120 * 1024;
const SHIFT_MAX = 0.01;
const DATA = ['/api/dashboard/overview', '/api/usage/history',
	'/api/usage/insights', '/api/usage/detailed', '/api/usage/hourly',
	'/api/usage/models'];

async function logIn(v, text) {
	await v.page.getByLabel('API key').fill(text);
	await v.role('button', 'Log in').click();
}

const kept = (v) => v.page.evaluate(() =>
	sessionStorage.getItem('codexible_token'));

async function goodKey(come) {
	const v = await come();

	await v.goes('/dashboard/login');
	await v.sees(v.role('heading', 'Log in', { level: 1 }));
	assert.equal(await v.page.title(), 'Log in · tallyd');
	assert.equal(await v.page.getByLabel('API key').getAttribute('type'),
		'password');

	// as pasted from a mail: quotes, blanks, a zero-width blank
	await logIn(v, ` "${PRO}\u200b" `);
	await v.at('/dashboard');
	await v.sees(v.role('heading', 'Overview', { level: 1 }));
	assert.equal(await kept(v), PRO);
	await v.sees(v.role('banner').getByText('demo@codexible.me'));
	assert.equal(await v.role('link', 'Admin').count(), 0);

	await v.page.reload();
	await v.sees(v.role('heading', 'Overview', { level: 1 }));
	await v.role('button', 'Log out').click();
	await v.at('/dashboard/login');
	assert.equal(await kept(v), null);
	await v.goes('/dashboard');
	await v.at('/dashboard/login');
}

async function adminKey(come) {
	const v = await come();

	await v.goes('/dashboard/login');
	await logIn(v, BUSINESS);
	await v.at('/dashboard/admin');
	await v.sees(v.role('link', 'Admin'));
}

async function badKeys(come) {
	const v = await come();

	await v.goes('/dashboard/login');
	for (const [text, words] of [
		['', 'Token is required'],
		['codexible_0123456789abcdef0123456789abcdef', 'Invalid token'],
		['<img src=x onerror=alert(1)>', 'Invalid token'],
	]) {
		await logIn(v, text);
		await v.alert(words);
		assert.equal(new URL(v.page.url()).pathname, '/dashboard/login');
		assert.equal(await kept(v), null);
	}
	assert.equal(await v.page.locator('img').count(), 0);
}

async function unreachable(come) {
	const v = await come();

	await v.goes('/dashboard/login');
	await v.page.route('**/api/auth/validate', (route) => route.abort());
	await logIn(v, PRO);
	await v.alert('Cannot reach the server');
	await v.page.unroute('**/api/auth/validate');
	await logIn(v, PRO);
	await v.at('/dashboard');
}

async function suspendedAccount(come) {
	const user = await makeUser('barred');
	const v = await come();

	await call(BUSINESS, `/api/admin/users/${user.id}`,
		{ method: 'PATCH', body: { status: 'suspended' } });
	await v.goes('/dashboard/login');
	await logIn(v, user.key);
	await v.alert('Account is suspended');
	assert.equal(await kept(v), null);
}

async function tooMany(come) {
	const v = await come();

	await v.page.route('**/api/auth/validate', (route) => route.fulfill({
		status: 429,
		headers: { 'content-type': 'application/json', 'retry-after': '42' },
		body: JSON.stringify({ error: { code: 'rate_limited',
			message: 'Too many requests', status: 429 } }),
	}));
	await v.goes('/dashboard/login');
	await logIn(v, PRO);
	await v.alert('Too many requests');
	await v.sees(v.role('main').getByText(/0:[0-4]\d/));
	assert.equal(await kept(v), null);
}

// Without a key every page leads here, and back to where one wanted to.
async function noKey(come) {
	const v = await come();

	for (const path of ['/', '/dashboard', '/dashboard/settings',
		'/dashboard/admin']) {
		await v.goes(path);
		await v.at('/dashboard/login');
	}
}

async function firstLoad(come) {
	const v = await come({ key: PRO });
	const cdp = await v.context.newCDPSession(v.page);
	const sizes = new Map();
	const names = new Map();

	await cdp.send('Network.enable');
	cdp.on('Network.responseReceived', (e) =>
		names.set(e.requestId, new URL(e.response.url).pathname));
	cdp.on('Network.loadingFinished', (e) =>
		sizes.set(e.requestId, e.encodedDataLength));
	await v.goes('/dashboard');
	await v.settles();
	await eventually(() => DATA.every((path) =>
		[...sizes.keys()].some((id) => names.get(id) === path)),
	'all data arrive');
	await v.sees(v.region('Recent activity').getByRole('table'));
	await v.page.waitForTimeout(300); // what comes late would be seen

	const total = [...sizes.values()].reduce((a, b) => a + b, 0);
	const paint = await v.page.evaluate(() =>
		performance.getEntriesByName('first-contentful-paint')[0]?.startTime);

	console.log(`   first load ${total} bytes in ${sizes.size} answers, `
		+ `first paint after ${Math.round(paint)} ms: `
		+ [...sizes].map(([id, n]) => `${names.get(id)} ${n}`).join(', '));
	assert.ok(total <= FIRST_LOAD_MAX, `${total} bytes`);
	const shift = await v.shift();
	assert.ok(shift < SHIFT_MAX, `layout shift ${shift}`);
}

// The headers are the daemon's; here they are what a browser got.
async function policy(come) {
	const v = await come();

	for (const path of ['/dashboard/login', '/docs']) {
		const answer = await v.page.goto(path);
		const csp = answer.headers()['content-security-policy'];

		assert.match(csp, /default-src 'self'/);
		assert.match(csp, /frame-ancestors 'none'/);
		assert.doesNotMatch(csp, /unsafe|\*|https?:|data:/);
		const html = await answer.text();

		assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=/);
		assert.doesNotMatch(html, /(src|href)="(https?:)?\/\//);
	}
}

export default [
	['login', 'a good key comes in and goes out', goodKey],
	['login', 'an admin goes to the admin page', adminKey],
	['login', 'bad keys are told why', badKeys],
	['login', 'a suspended account is told', suspendedAccount],
	['login', 'too many attempts are told', tooMany],
	['login', 'a fault of the connection is no bad key', unreachable],
	['login', 'without a key all pages lead to the door', noKey],
	['login', 'the first load is small and nothing jumps', firstLoad],
	['login', 'the policy allows nothing inline', policy],
];
