// admin.mjs - what an admin sees and changes.
import assert from 'node:assert/strict';
import { BUSINESS, call, eventually, makeUser } from './lib.mjs';

const MARKUP = '<img src=x onerror="document.title=1">';

async function tab(v, name) {
	await v.role('tab', name).click();
	await eventually(async () => await v.role('tab', name)
		.getAttribute('aria-selected') === 'true', `tab ${name}`);
	await v.settles();
}

async function atAdmin(come, name) {
	const v = await come({ key: BUSINESS });

	await v.goes('/dashboard/admin');
	await v.sees(v.role('heading', 'Admin', { level: 1 }));
	if (name !== undefined) await tab(v, name);
	return v;
}

async function status(come) {
	const v = await atAdmin(come, 'Status');
	const doctor = await v.sees(v.region('Doctor'));

	for (const term of ['Users', 'Active keys', 'Credits today', 'Store'])
		await v.sees(v.role('tabpanel').getByText(term, { exact: true }));
	await v.sees(doctor.getByRole('listitem').filter({ hasText: 'books' }));
	assert.ok(await doctor.getByRole('listitem').count() >= 10);
	await v.sees(doctor.getByRole('listitem').filter({ hasText: 'schema' }));
	await v.shot('admin-status');
}

async function users(come) {
	const v = await atAdmin(come, 'Users');
	const email = 'made-by-hand@browser.test';

	await v.role('button', 'New user').click();
	const d = await v.sees(v.role('dialog', 'New user'));

	await d.getByLabel('E-mail').fill(email);
	await d.getByLabel('Name').fill(MARKUP);
	await d.getByLabel('Plan').selectOption({ label: 'Starter' });
	await d.getByRole('button', { name: 'Create user' }).click();
	await v.gone(d);
	await v.role('searchbox', 'Search users').fill('made-by-hand');
	const table = v.role('table', 'Users');

	await v.sees(table.getByText(MARKUP));
	await eventually(async () => await table.getByRole('row').count() === 2,
		'only that one is shown');
	assert.equal(await v.page.locator('main img').count(), 0);

	await v.role('combobox', `Plan of ${email}`)
		.selectOption({ label: 'Business' });
	await eventually(async () => (await call(BUSINESS,
		`/api/admin/users?q=${email}`)).body[0].plan === 'Business',
	'the plan is another');
	for (const [act, state] of [['Suspend', 'suspended'],
		['Activate', 'active']]) {
		await v.role('button', `${act} ${email}`).click();
		const sure = await v.sees(v.role('dialog'));

		await sure.getByRole('button', { name: new RegExp(`^${act}`) }).click();
		await eventually(async () => (await call(BUSINESS,
			`/api/admin/users?q=${email}`)).body[0].status === state, state);
	}
}

async function tokens(come) {
	const user = await makeUser('holder');
	const v = await atAdmin(come, 'Keys');

	await v.role('button', 'New key').click();
	const d = await v.sees(v.role('dialog', 'New key'));

	await d.getByLabel('Search users').fill(user.email);
	await d.getByLabel('User', { exact: true })
		.selectOption({ label: user.email });
	await d.getByLabel('Name').fill('from an admin');
	await d.getByRole('button', { name: 'Create key' }).click();
	const made = await v.sees(v.role('dialog', 'Your new key'));
	const secret = await made.getByLabel('Secret', { exact: true })
		.inputValue();

	assert.equal((await call(secret, '/api/gate')).status, 200);
	await made.getByRole('button', { name: 'Done' }).click();
	await v.role('searchbox', 'Search keys').fill(user.email);
	const table = v.role('table', 'Keys');

	await eventually(async () => await table.getByRole('row').count() === 3,
		'two keys');
	await v.role('button', 'Revoke from an admin').click();
	await v.role('dialog', 'Revoke key')
		.getByRole('button', { name: 'Revoke key' }).click();
	await eventually(async () => (await call(secret, '/api/gate')).status
		=== 401, 'it is revoked');
}

async function audit(come) {
	const user = await makeUser('audited');
	const v = await atAdmin(come, 'Audit log');
	const table = await v.sees(v.role('table', 'Audit log'));

	await v.role('searchbox', 'Search the log').fill(user.id);
	await eventually(async () => {
		const cells = await table.getByRole('row').allInnerTexts();

		return cells.length > 1 && cells.slice(1).every((c) =>
			c.includes('team@codexible.me'));
	}, 'who did it');
	await v.role('searchbox', 'Search the log').fill('no such thing at all');
	await eventually(async () =>
		await table.getByText(user.id).count() === 0, 'nothing is found');
}

async function plansAndLimits(come) {
	const v = await atAdmin(come, 'Plans');

	await v.sees(v.role('table', 'Plans').getByText('Starter'));
	await tab(v, 'Limits');
	await v.role('button', 'New limit').click();
	const d = await v.sees(v.role('dialog'));

	await d.getByLabel('Name').fill('uploads');
	await v.page.keyboard.press('Escape');
	await v.gone(d);
}

export default [
	['admin', 'status and what doctor finds', status],
	['admin', 'users are made, found, moved, suspended', users],
	['admin', 'keys of users are made and revoked', tokens],
	['admin', 'the log is searched', audit],
	['admin', 'plans and limits', plansAndLimits],
];
