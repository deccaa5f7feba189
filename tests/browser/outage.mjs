// outage.mjs - the database stops, the daemon stops, both come back.
import assert from 'node:assert/strict';
import { makeUser, call, eventually } from './lib.mjs';
import { spawnSync } from 'node:child_process';

// test_browser.sh answers these: database or daemon, stop or start
function order(what, how) {
	const done = spawnSync(process.env.ORDERS, [what, how],
		{ encoding: 'utf8' });

	assert.equal(done.status, 0, `${what} ${how}: ${done.stdout}${done.stderr}`);
}

// Where processes starve, an answer may be to try again; nothing else may.
async function charge(key, cost) {
	let answer;

	for (let i = 0; i < 10; i++) {
		answer = await call(key, `/api/gate?cost=${cost}`);
		if (answer.headers.get('x-tally-reason') !== 'busy') break;
	}
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
			await again.click();
		return await v.role('dialog', 'Your new key').isVisible();
	}, 'the key is made after all');
}

async function daemonAway(come) {
	const user = await makeUser('stranded');
	const v = await come({ key: user.key });

	await v.goes('/dashboard');
	await v.settles();
	order('daemon', 'stop');
	try {
		await v.choose('Range', 'All'); // a page at rest notices later
		await v.alert('Cannot reach the server');
		await v.sees(v.page.getByTestId('balance'));
		await v.shot('outage-daemon');
		await v.accessible('a page without a server');
	} finally {
		order('daemon', 'start');
	}
	await v.role('button', 'Retry').first().click();
	await v.gone(v.role('alert').filter({ hasText: 'Cannot reach the server' }));
	assert.equal(await v.page.evaluate(() =>
		sessionStorage.getItem('codexible_token')), user.key,
	'a fault of the connection is no bad key');
}

export default [
	['outage', 'the daemon is away', daemonAway],
	['outage', 'the database is away', databaseAway],
];
