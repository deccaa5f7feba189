// looks.mjs - every page in both themes, both languages, narrow and wide, by
// keyboard alone, and by the rules of accessibility.
import assert from 'node:assert/strict';
import { BUSINESS, PRO, eventually, makeUser } from './lib.mjs';

const PAGES = [
	['login', '/dashboard/login', null],
	['overview', '/dashboard', PRO],
	['settings', '/dashboard/settings', PRO],
	['keys', '/dashboard/settings#keys', PRO],
	['preferences', '/dashboard/settings#preferences', PRO],
	['docs', '/docs', PRO],
	['admin', '/dashboard/admin', BUSINESS],
];
const ADMIN_TABS = ['Users', 'Keys', 'Plans', 'Limits', 'Audit log'];

const themeOf = (v) => v.page.evaluate(() =>
	document.documentElement.getAttribute('data-theme'));

// Of another theme the colours are another, nothing else.
const COLOURS = ['color-contrast'];
const WIDTHS = [[1920, 1080], [390, 844]];

// Nothing is cut off on a wide screen and on a telephone.
async function atAllWidths(v, name) {
	const before = v.page.viewportSize();

	for (const [width, height] of WIDTHS) {
		await v.page.setViewportSize({ width, height });
		await v.noSidewaysScroll(`${name} at ${width} px`);
	}
	await v.shot(`${name}-telephone`);
	await v.page.setViewportSize(before);
}

const inTheme = (theme, rules) => async (come) => {
	const user = await come({ key: PRO, theme });
	const admin = await come({ key: BUSINESS, theme });
	const nobody = await come({ theme });

	for (const [name, path, key] of PAGES) {
		const v = key === PRO ? user : key === BUSINESS ? admin : nobody;

		await v.goes('about:blank'); // a fragment alone would load nothing
		await v.goes(path);
		await v.settles();
		assert.equal(await themeOf(v), theme, name);
		await v.accessible(`${name}, ${theme}`, rules);
		await v.shot(`${name}-${theme}`);
		if (rules === undefined) await atAllWidths(v, name);
	}
	for (const name of ADMIN_TABS) {
		await admin.role('tab', name).click();
		await admin.settles();
		await admin.accessible(`admin, ${name}, ${theme}`, rules);
		if (rules === undefined) await atAllWidths(admin, `admin-${name}`);
	}
	await user.goes('/dashboard/settings#keys');
	await user.settles();
	await user.role('button', 'New key').click();
	await user.sees(user.role('dialog', 'New key'));
	await user.accessible(`dialog, ${theme}`, rules);
	await user.shot(`dialog-${theme}`);
};

async function themeSwitch(come) {
	const v = await come({ key: PRO });
	const dark = await come({ key: PRO, colorScheme: 'dark' });

	await v.goes('/dashboard');
	await v.settles();
	assert.equal(await themeOf(v), 'light', 'as the system has it');
	await v.role('button', 'Switch theme').click();
	await eventually(async () => await themeOf(v) === 'dark', 'it is dark');
	await v.page.reload();
	await v.settles();
	assert.equal(await themeOf(v), 'dark', 'it is kept');
	await dark.goes('/dashboard');
	await dark.settles();
	assert.equal(await themeOf(dark), 'dark', 'as the system has it');
}

async function languages(come) {
	const v = await come({ key: PRO });

	await v.goes('/dashboard');
	await v.settles();
	assert.equal(await v.page.locator('html').getAttribute('lang'), 'en');
	const english = await v.role('main').innerText();

	await v.choose('Language', 'Tiếng Việt').catch(() =>
		v.role('radio', 'Tiếng Việt').check({ force: true }));
	await eventually(async () => await v.page.locator('html')
		.getAttribute('lang') === 'vi', 'it is Vietnamese');
	const vietnamese = await v.role('main').innerText();

	assert.match(vietnamese, /[ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệ]/);
	for (const word of ['Balance', 'Daily spending', 'Insights',
		'Recent activity', 'Quick actions']) {
		assert.ok(english.includes(word));
		assert.ok(!vietnamese.includes(word), `${word} is not translated`);
	}
	await v.page.reload();
	await v.settles();
	assert.equal(await v.page.locator('html').getAttribute('lang'), 'vi');
	await v.shot('overview-vi');
	await v.goes('/dashboard/settings#keys');
	await v.settles();
	await v.accessible('keys in Vietnamese');
	assert.ok(!(await v.role('main').innerText()).includes('Last used'));
}

// Loaded at that width, in the longer language.
async function onTelephone(come) {
	const v = await come({ key: PRO, viewport: { width: 390, height: 844 },
		lang: 'vi' });

	for (const [name, path] of PAGES.filter(([name]) =>
		['overview', 'keys', 'docs'].includes(name))) {
		await v.goes('about:blank');
		await v.goes(path);
		await v.settles();
		await v.noSidewaysScroll(`${name} on a telephone`);
		await v.shot(`${name}-telephone-vi`);
	}
}

// ---- without a mouse ----

const focused = (v) => v.page.evaluate(() => {
	const e = document.activeElement;

	return (e.getAttribute('aria-label') || e.labels?.[0]?.innerText
		|| e.innerText || '').trim();
});

async function tabTo(v, name) {
	for (let i = 0; i < 120; i++) {
		if (await focused(v) === name) {
			const ring = await v.page.evaluate(() => {
				const s = getComputedStyle(document.activeElement);

				return s.outlineStyle !== 'none' || s.boxShadow !== 'none';
			});

			assert.ok(ring, `${name} has the focus and does not show it`);
			return;
		}
		await v.page.keyboard.press('Tab');
	}
	assert.fail(`Tab never comes to ${name}`);
}

async function keyboard(come) {
	const user = await makeUser('typist');
	const v = await come();
	const press = (key) => v.page.keyboard.press(key);

	await v.goes('/dashboard/login');
	await v.settles();
	await tabTo(v, 'API key');
	await v.page.keyboard.type(user.key);
	await press('Enter');
	await v.at('/dashboard');
	await v.settles();
	await tabTo(v, 'Settings');
	await press('Enter');
	await v.at('/dashboard/settings');
	await v.settles();

	// tabs: one stop, arrows within
	await tabTo(v, 'Profile');
	await press('ArrowRight');
	await eventually(async () => await v.role('tab', 'API keys')
		.getAttribute('aria-selected') === 'true', 'the next tab');
	await v.settles();
	await tabTo(v, 'New key');
	await press('Enter');
	await v.sees(v.role('dialog', 'New key'));
	await tabTo(v, 'Name');
	await v.page.keyboard.type('typed');
	await press('Enter');
	await v.sees(v.role('dialog', 'Your new key'));
	await tabTo(v, 'Done');
	await press('Enter');
	await v.gone(v.role('dialog', 'Your new key'));
	await tabTo(v, 'Revoke typed');
	await press('Enter');
	await v.sees(v.role('dialog', 'Revoke key'));
	await press('Escape');
	await v.gone(v.role('dialog', 'Revoke key'));
	assert.equal(await focused(v), 'Revoke typed', 'the focus comes back');
	await press('Enter');
	await tabTo(v, 'Revoke key');
	await press('Enter');
	await v.gone(v.role('button', 'Revoke typed'));
	await v.page.reload();
	await v.settles();
	await tabTo(v, 'Log out');
	await press('Enter');
	await v.at('/dashboard/login');
}

export default [
	['looks', 'all pages at all widths, by the rules', inTheme('light')],
	['looks', 'all pages in dark, by the rules', inTheme('dark', COLOURS)],
	['looks', 'by keyboard alone', keyboard],
	['looks', 'on a telephone, in Vietnamese', onTelephone],
	['looks', 'the theme follows the system, then the switch', themeSwitch],
	['looks', 'English and Vietnamese', languages],
];
