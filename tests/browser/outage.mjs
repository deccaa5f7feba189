// outage.mjs - the database stops, the daemon stops, both come back.
import assert from 'node:assert/strict';
import { makeUser, call, eventually } from './lib.mjs';
import { spawnSync } from 'node:child_process';

// events.ts tries again after the daemon's `retry` of 2 s, and a quarter of it;
// live.ts polls after 15 s.
const RECONNECT_MS = 4000;

// test_browser.sh answers these: database or daemon, stop or start
function order(what, how) {
	const done = spawnSync(process.env.ORDERS, [what, how],
		{ encoding: 'utf8', timeout: 120000 });

	assert.equal(done.status, 0, `${what} ${how}: ${done.stdout}${done.stderr}`);
}

// Where processes starve, an answer may be to try again; nothing else may.
async function charge(key, cost) {
	let answer;

	await eventually(async () => {
		answer = await call(key, `/api/gate?cost=${cost}`);
		return answer.headers.get('x-tally-reason') !== 'busy';
	}, 'it is no longer busy');
	assert.equal(answer.status, 200, `${answer.headers
		.get('x-tally-reason')} ${JSON.stringify(answer.body)}`);
}

async function databaseAway(come) {
	const user = await makeUser('patient');
	const v = await come({ key: user.key });

	await v.goes('/dashboard');
	await v.settles();
	order('database', 'stop');
	try {
		// charges go on, and are seen
		await charge(user.key, 5);
		await eventually(async () => await v.page.getByTestId('balance')
			.getAttribute('data-value') === '245', 'five less');
		await v.choose('Range', '30 days');
		await v.alert(/./, v.region('Daily spending'));
		await v.sees(v.role('alert').filter({
			hasText: /^(Cannot reach the server|The server)/,
		}));
		assert.equal(await v.page.getByTestId('balance')
			.getAttribute('data-value'), '245', 'what was shown stays');
		await v.shot('outage-database');
		await v.goes('/dashboard/settings#keys');
		await v.role('button', 'New key').click();
		const d = await v.sees(v.role('dialog', 'New key'));

		await d.getByLabel('Name', { exact: true }).fill('too early');
		await d.getByRole('button', { name: 'Create key' }).click();
		await v.alert(/./, d);
	} finally {
		order('database', 'start');
	}
	await eventually(async () => (await call(null, '/health?ready=1')).status
		=== 200, 'the daemon is well again');
	// the worker that is asked may look for its connections a moment later
	await eventually(async () => {
		const again = v.role('dialog', 'New key')
			.getByRole('button', { name: 'Create key' });

		if (await again.isEnabled({ timeout: 100 }).catch(() => false))
			await again.click({ timeout: 2000 });
		return await v.role('dialog', 'Your new key').isVisible();
	}, 'the key is made after all');
}

// Its clock stands still where the time until the page does something by itself
// matters: how long a poll is off, and that it does not forestall the button.
async function daemonAway(come) {
	const user = await makeUser('stranded');
	const v = await come({ key: user.key });
	const live = () => v.page.getByTestId('live').getAttribute('data-state');
	const away = v.role('alert').filter({ hasText: 'Cannot reach the server' });
	const failed = v.region('Daily spending').getByRole('alert');

	await v.page.clock.install();
	await v.goes('/dashboard');
	await v.settles();
	await eventually(async () => await live() === 'live', 'the stream is open');
	await v.stand();
	order('daemon', 'stop');
	try {
		// who does nothing is told as well, and long before the next poll
		await eventually(async () => await live() === 'polling', 'it ends');
		await v.page.clock.runFor(RECONNECT_MS);
		await v.sees(away);
		await v.page.route('**/api/events', (route) => route.abort());
		await v.choose('Range', 'All');
		await v.ticks(() => failed.isVisible(), 'the chart is not loaded');
		await v.sees(v.page.getByTestId('balance'));
		let looked = false;

		await Promise.all([
			v.ticks(() => looked, 'it is looked at'),
			v.shot('outage-daemon')
				.then(() => v.accessible('a page without a server'))
				.finally(() => { looked = true; }),
		]);
	} finally {
		order('daemon', 'start');
	}
	await v.role('button', 'Retry').first().click();
	await v.ticks(async () => !await away.isVisible() && !await failed.isVisible(),
		'all of it is tried again');
	assert.equal(await v.page.evaluate(() =>
		sessionStorage.getItem('codexible_token')), user.key,
	'a fault of the connection is no bad key');
	await v.page.unroute('**/api/events');
	await v.page.clock.fastForward(60000); // its next attempt is due
	await v.page.clock.resume();
	await eventually(async () => await live() === 'live', 'it is live again');
}

export default [
	['outage', 'the daemon is away', daemonAway],
	['outage', 'the database is away', databaseAway],
];
