// overview.mjs - what was used: figures, charts and their tables, live.
import assert from 'node:assert/strict';
import { PRO, call, eventually, makeUser } from './lib.mjs';

const WIDGETS = ['Balance', 'Runway', 'Status', 'Plan', 'Daily spending',
	'Cost by model', 'Insights', 'Activity by hour', 'Recent activity',
	'Quick actions'];

const rows = (v, caption) => v.page.locator('table', {
	has: v.page.locator('caption', { hasText: caption }),
}).locator('tbody tr');

const texts = async (v, caption) =>
	(await rows(v, caption).allInnerTexts()).map((t) => t.split(/\s*\t\s*/));

const balance = async (v) => Number(await v.page.getByTestId('balance')
	.getAttribute('data-value'));

async function figures(come) {
	const v = await come({ key: PRO });
	const { body: o } = await call(PRO, '/api/dashboard/overview');
	const { body: days } = await call(PRO, '/api/usage/history?days=7&fill=1');
	const { body: models } = await call(PRO, '/api/usage/models?days=7');
	const { body: sums } = await call(PRO, '/api/usage/insights?days=7');

	await v.goes('/dashboard');
	await v.settles();
	for (const name of WIDGETS) {
		await v.sees(v.region(name));
		assert.equal(await v.region(name).getByRole('alert').count(), 0, name);
	}
	assert.equal(await v.page.title(), 'Overview · tallyd');
	assert.equal(await balance(v),
		Math.max(0, o.usage.daily_limit - o.usage.credits_used));
	await v.sees(v.region('Plan').getByText('Pro'));
	await v.sees(v.region('Status').getByText(/active/i));
	assert.match(await v.region('Runway').innerText(), /\d/);

	// the charts: a picture and a table each
	for (const name of ['Daily spending', 'Cost by model', 'Activity by hour'])
		await v.region(name).getByRole('img').first()
			.waitFor({ state: 'attached' });
	const spending = await texts(v, 'Daily spending');

	assert.equal(spending.length, 7);
	assert.ok(spending.every(([day]) => /\d/.test(day)));
	const shown = spending.map(([day]) => day);

	assert.ok(days[6].date.endsWith(shown[0]) || shown[0] === days[6].date,
		`oldest first: ${shown[0]}, want ${days[6].date}`);
	assert.equal((await rows(v, 'Activity by hour').count()), 24);
	assert.ok(await rows(v, 'Cost by model').count() >= models.length);
	await v.sees(v.region('Cost by model').getByText(models[0].model));
	const total = await v.region('Insights').innerText();

	assert.ok(total.replace(/[,.\s]/g, '').includes(String(sums.total_requests)),
		`${sums.total_requests} in ${total}`);
	for (const term of ['Total requests', 'Total spent', 'Average a day',
		'Peak hour'])
		await v.sees(v.region('Insights').getByText(term));
	await v.shot('overview');
}

async function ranges(come) {
	const v = await come({ key: PRO });

	await v.goes('/dashboard');
	await v.settles();
	assert.ok(await v.role('radio', '7 days').isChecked());
	for (const [name, n] of [['30 days', 30], ['24 hours', 1], ['All', 90]]) {
		await v.choose('Range', name);
		await eventually(async () => await rows(v, 'Daily spending').count() === n,
			`${n} days`);
	}
}

async function details(come) {
	const v = await come({ key: PRO });

	await v.goes('/dashboard');
	await v.settles();
	const table = v.region('Recent activity').getByRole('table');

	for (const name of ['Model', 'Tokens', 'Cost', 'Time'])
		await v.sees(table.getByRole('columnheader', { name }));
	const opener = table.getByRole('button', { name: /^Details of / }).first();

	await opener.click();
	await v.sees(v.role('dialog', 'Request details'));
	await v.page.keyboard.press('Escape');
	await v.gone(v.role('dialog', 'Request details'));
	assert.ok(await opener.evaluate((e) => e === document.activeElement),
		'the focus comes back');
	await opener.click();
	await v.role('dialog', 'Request details')
		.getByRole('button', { name: 'Close' }).click();
	await v.gone(v.role('dialog', 'Request details'));
}

async function live(come) {
	const user = await makeUser('live');
	const v = await come({ key: user.key });

	await v.goes('/dashboard');
	await v.settles();
	assert.equal(await balance(v), 250);
	await eventually(async () => await v.page.getByTestId('live')
		.getAttribute('data-state') === 'live', 'the stream is open');
	await call(user.key, '/api/gate?cost=7');
	await eventually(async () => await balance(v) === 243, 'seven less');
	await call(user.key, '/api/usage/record', {
		method: 'POST',
		body: { model: 'live-model', prompt_tokens: 1000, credits: 3 },
	});
	await eventually(async () => await balance(v) === 240, 'three less');
	await v.sees(v.region('Recent activity').getByText('live-model'));
	const shift = await v.shift();

	assert.ok(shift < 0.01, `layout shift ${shift}`);
}

// A user without any usage: every widget has something to say.
async function nothingYet(come) {
	const user = await makeUser('fresh');
	const v = await come({ key: user.key });

	await v.goes('/dashboard');
	await v.settles();
	for (const name of WIDGETS) {
		await v.sees(v.region(name));
		assert.equal(await v.region(name).getByRole('alert').count(), 0, name);
	}
	assert.match(await v.region('Runway').innerText(), /—/);
	assert.match(await v.region('Insights').innerText(), /N\/A/);
	await v.accessible('an overview of nothing');
	await v.shot('overview-empty');
}

async function quickActions(come) {
	const v = await come({ key: PRO });

	await v.context.grantPermissions(['clipboard-read', 'clipboard-write']);
	await v.goes('/dashboard');
	await v.settles();
	await v.role('button', 'Copy environment lines').click();
	const pasted = () => v.page.evaluate(() => navigator.clipboard.readText());

	await eventually(async () => (await pasted()).includes(PRO), 'it is copied');
	await v.role('button', 'Copy JSON settings').click();
	await eventually(async () => JSON.parse(await pasted()), 'JSON is copied');
	const region = v.region('Quick actions');

	for (const [name, path] of [['Documentation', '/docs'],
		['API reference', '/docs/api']])
		assert.equal(await region.getByRole('link', { name })
			.getAttribute('href'), path);
}

export default [
	['overview', 'figures are those of the API, charts have tables', figures],
	['overview', 'the range changes the charts', ranges],
	['overview', 'a request has its details', details],
	['overview', 'balance and activity move while the key is used', live],
	['overview', 'nothing used is no error', nothingYet],
	['overview', 'what can be copied', quickActions],
];
