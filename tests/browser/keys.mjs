// keys.mjs - a key through its whole life, as its owner sees it.
import assert from 'node:assert/strict';
import { call, eventually, makeKey, makeUser, shell } from './lib.mjs';

const SECRET = /^codexible_[0-9a-f]{32}$/;
const MARKUP = '<img src=x onerror="document.title=1">';

const table = (v) => v.role('table', 'Your API keys');
const row = (v, name) => table(v).getByRole('row').filter({
	has: v.page.getByRole('button', { name: `Rename ${name}`, exact: true }),
});
const dialog = (v, name) => v.role('dialog', name);
const inDialog = (v, name, button) =>
	dialog(v, name).getByRole('button', { name: button, exact: true });

async function openKeys(v) {
	await v.goes('/dashboard/settings#keys');
	await v.sees(table(v));
	await v.settles();
}

const usedToday = async (key) =>
	(await call(key, '/api/usage/today')).body.credits_used;
const statusOf = async (key) => (await call(key, '/api/gate')).status;

async function create(v, fields) {
	await v.role('button', 'New key').click();
	const d = await v.sees(dialog(v, 'New key'));

	for (const [label, value] of Object.entries(fields)) {
		const field = d.getByLabel(label, { exact: true });

		if (await field.evaluate((e) => e.tagName) === 'SELECT')
			await field.selectOption({ label: value });
		else
			await field.fill(value);
	}
	await inDialog(v, 'New key', 'Create key').click();
}

async function secretOf(v) {
	const d = await v.sees(dialog(v, 'Your new key'));
	const secret = await d.getByLabel('Secret', { exact: true }).inputValue();

	assert.match(secret, SECRET);
	return secret;
}

async function madeAndUsed(come) {
	const user = await makeUser('maker');
	const v = await come({ key: user.key });

	await v.context.grantPermissions(['clipboard-read', 'clipboard-write']);
	await openKeys(v);
	await create(v, {
		Name: 'CI runner', Expires: 'In 30 days', Scopes: 'read, write',
		'Allowed addresses': '127.0.0.0/8', 'Requests a minute': '500',
		'Credits a day': '9',
	});
	const secret = await secretOf(v);
	const d = dialog(v, 'Your new key');

	await v.shot('keys-secret');
	await Promise.all([ // it says so for two seconds
		v.sees(d.getByRole('button', { name: 'Copied' })),
		d.getByRole('button', { name: 'Copy secret' }).click(),
	]);
	assert.equal(await v.page.evaluate(() => navigator.clipboard.readText()),
		secret);
	const line = await d.getByLabel('Try it', { exact: true }).inputValue();

	assert.match(line, /^curl /);
	assert.ok(line.includes(secret));
	const before = await usedToday(user.key);

	await shell(`${line} -sS`);
	assert.ok(await usedToday(user.key) > before, `not counted: ${line}`);
	await inDialog(v, 'Your new key', 'Done').click();
	await v.gone(d);
	assert.ok(!(await v.page.content()).includes(secret), 'shown only once');

	// its limits are in force, and shown
	const { body: list } = await call(user.key, '/api/keys');
	const made = list.find((k) => k.label === 'CI runner');

	assert.deepEqual(made.scopes, ['read', 'write']);
	assert.equal(made.rate_limit, 500);
	assert.equal(made.daily_credit_limit, 9);
	assert.ok(Math.abs(Date.parse(made.expires_at) - Date.now()
		- 30 * 86400e3) < 86400e3 * 1.5, made.expires_at);
	assert.equal((await call(secret, '/api/gate?cost=10')).status, 429);
	await v.sees(row(v, 'CI runner').getByText(secret.slice(0, 20)));
	assert.match(await row(v, 'CI runner').innerText(), /500[^]*9|9[^]*500/);
	await eventually(async () => {
		await v.page.reload();
		await v.sees(row(v, 'CI runner'));
		return !/never/i.test(await row(v, 'CI runner').innerText());
	}, 'last used is told');
}

async function renamedRotatedRevoked(come) {
	const user = await makeUser('keeper');
	const old = await makeKey(user.key, { label: 'Old name' });
	const v = await come({ key: user.key });

	await openKeys(v);
	await v.role('button', 'Rename Old name').click();
	await dialog(v, 'Rename key').getByLabel('Name', { exact: true })
		.fill('New name');
	await inDialog(v, 'Rename key', 'Save').click();
	await v.sees(row(v, 'New name'));
	assert.equal(await row(v, 'Old name').count(), 0);

	await v.role('button', 'Rotate New name').click();
	await dialog(v, 'Rotate key').getByLabel('Old key keeps working')
		.selectOption({ label: '5 minutes' });
	await inDialog(v, 'Rotate key', 'Rotate key').click();
	const secret = await secretOf(v);

	assert.notEqual(secret, old.key);
	assert.equal(await statusOf(secret), 200);
	assert.equal(await statusOf(old.key), 200, 'within the grace');
	await inDialog(v, 'Your new key', 'Done').click();

	// without a grace the old one ends at once; the row has the new id
	await v.role('button', 'Rotate New name').click();
	await inDialog(v, 'Rotate key', 'Rotate key').click();
	const last = await secretOf(v);

	assert.equal(await statusOf(secret), 401);
	await inDialog(v, 'Your new key', 'Done').click();

	await v.role('button', 'Revoke New name').click();
	await v.sees(dialog(v, 'Revoke key'));
	await inDialog(v, 'Revoke key', 'Cancel').click();
	assert.equal(await statusOf(last), 200, 'not without a yes');
	await v.role('button', 'Revoke New name').click();
	await inDialog(v, 'Revoke key', 'Revoke key').click();
	await v.gone(row(v, 'New name'));
	assert.equal(await statusOf(last), 401);
}

// The key that the page itself uses: it goes on with the new one.
async function ownKeyRotated(come) {
	const user = await makeUser('rotator');
	const v = await come({ key: user.key });

	await openKeys(v);
	await v.role('button', "Rotate rotator's first").click();
	await inDialog(v, 'Rotate key', 'Rotate key').click();
	const secret = await secretOf(v);

	await inDialog(v, 'Your new key', 'Done').click();
	assert.equal(await v.page.evaluate(() =>
		sessionStorage.getItem('codexible_token')), secret);
	await v.role('link', 'Overview').click();
	await v.settles();
	await v.sees(v.page.getByTestId('balance'));
	await v.at('/dashboard');
}

async function refusals(come) {
	const user = await makeUser('refused');
	const v = await come({ key: user.key });

	await openKeys(v);
	await create(v, { Name: 'Bad address', 'Allowed addresses': 'nonsense' });
	await v.alert(/./, dialog(v, 'New key'));
	await inDialog(v, 'New key', 'Cancel').click();
	await v.gone(dialog(v, 'New key'));
	for (let i = 0; i < 19; i++)
		await makeKey(user.key, { label: `Key ${i}` });
	await create(v, { Name: 'One too many' });
	await v.alert(/./, dialog(v, 'New key'));
	await v.page.keyboard.press('Escape');
	await v.gone(dialog(v, 'New key'));
	assert.equal(await dialog(v, 'Your new key').count(), 0);
}

async function markup(come) {
	const user = await makeUser('painter');

	await makeKey(user.key, { label: MARKUP });
	await call(user.key, '/api/usage/record',
		{ method: 'POST', body: { model: MARKUP, prompt_tokens: 1 } });
	const v = await come({ key: user.key });

	await openKeys(v);
	await v.sees(table(v).getByText(MARKUP));
	await v.role('button', `Rotate ${MARKUP}`).click();
	await v.sees(dialog(v, 'Rotate key'));
	assert.ok((await dialog(v, 'Rotate key').innerText()).includes(MARKUP));
	await v.page.keyboard.press('Escape');
	await v.goes('/dashboard');
	await v.settles();
	await eventually(async () => {
		await v.page.reload();
		await v.settles();
		return await v.region('Recent activity').getByText(MARKUP).count() > 0;
	}, 'the model is shown');
	assert.equal(await v.page.locator('main img').count(), 0);
	assert.notEqual(await v.page.title(), '1');
}

async function explained(come) {
	const user = await makeUser('asker');
	const other = await makeUser('stranger');
	const refused = await call(user.key, '/api/gate?cost=1000');
	const foreign = await call(other.key, '/api/gate?cost=1000');
	const v = await come({ key: user.key });

	assert.equal(refused.status, 429);
	await openKeys(v);
	const region = await v.sees(v.region('Explain a refusal'));

	await region.getByLabel('Request id').fill(` ${refused.id} `);
	await region.getByRole('button', { name: 'Explain' }).click();
	const told = await v.sees(region.getByRole('list',
		{ name: 'Explanation' }));

	assert.match(await told.innerText(),
		/refused with 429: daily credits left do not suffice/);
	await v.shot('keys-explained');
	await region.getByLabel('Request id').fill(foreign.id);
	await region.getByRole('button', { name: 'Explain' }).click();
	await v.alert(/./, region);
}

export default [
	['keys', 'one is made, shown once, used and counted', madeAndUsed],
	['keys', 'it is renamed, rotated with a grace, revoked',
		renamedRotatedRevoked],
	['keys', 'the key of the page itself is rotated', ownKeyRotated],
	['keys', 'a refusal is told in its dialog', refusals],
	['keys', 'markup in names is text', markup],
	['keys', 'a refusal is explained to its owner', explained],
];
