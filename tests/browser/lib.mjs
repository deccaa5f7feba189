// lib.mjs - a browser, pages that are watched, and what tests ask of them.
//
// Whatever a test is about, each of its pages must keep the rules of the house:
// nothing inline, nothing from elsewhere, no script error, no key in an address
// or in localStorage.  A page that breaks one fails the test it was opened for.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

export const URL_BASE = process.env.TALLYD_URL;
export const PRO = 'codexible_demo_pro_2026';
export const BUSINESS = 'codexible_demo_business_2026'; // an admin here
export const STARTER = 'codexible_demo_starter_2026';
export const PATIENCE_MS = 60000; // this machine may be busy

const AXE = readFileSync(
	createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = process.env.SHOTS || 'screenshots';
const CHROMIUM = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu',
	'--force-color-profile=srgb', '--font-render-hinting=none'];

let browser;

export async function open() {
	rmSync(SHOTS, { recursive: true, force: true });
	mkdirSync(SHOTS, { recursive: true });
	browser = await chromium.launch({
		executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
		args: CHROMIUM,
	});
	return browser.version();
}

export async function close() {
	await browser?.close();
}

// Runs in the page before its own scripts; not subject to its policy.
function watch() {
	window.tallyShift = 0;
	new PerformanceObserver((list) => {
		for (const e of list.getEntries())
			if (!e.hadRecentInput) window.tallyShift += e.value;
	}).observe({ type: 'layout-shift', buffered: true });
	document.addEventListener('securitypolicyviolation', (e) =>
		console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
}

// What the browser itself says of answers that a test wants.
const EXPECTED = /Failed to load resource: (the server responded|net::)/;

export class Visitor {
	// options: of the context; key: logged in with it from the start
	static async come({ key, lang, theme, ...options } = {}) {
		const v = new Visitor();

		v.faults = [];
		v.loading = new Set();
		v.context = await browser.newContext({
			baseURL: URL_BASE,
			viewport: { width: 1280, height: 900 },
			colorScheme: 'light',
			reducedMotion: 'reduce',
			...options,
		});
		v.context.setDefaultTimeout(PATIENCE_MS);
		await v.context.addInitScript(watch);
		await v.context.addInitScript((p) => {
			// once a tab: a reload must find what the page has made of it
			if (location.protocol === 'about:') return;
			if (sessionStorage.getItem('test_begun')) return;
			sessionStorage.setItem('test_begun', '1');
			if (p.key) sessionStorage.setItem('codexible_token', p.key);
			if (p.lang) localStorage.setItem('codexible_lang', p.lang);
			if (p.theme) localStorage.setItem('theme', p.theme);
		}, { key, lang, theme });
		v.page = await v.context.newPage();
		v.#listen();
		return v;
	}

	#listen() {
		this.page.on('pageerror', (e) => this.faults.push(`script: ${e}`));
		this.page.on('console', (m) => {
			if (m.type() === 'error' && !EXPECTED.test(m.text()))
				this.faults.push(`console: ${m.text()}`);
		});
		this.page.on('request', (rq) => {
			const url = rq.url();

			if (!url.startsWith(`${URL_BASE}/`) && !/^(data|blob):/.test(url))
				this.faults.push(`from elsewhere: ${url}`);
			if (/codexible_[0-9a-z]/.test(url))
				this.faults.push(`a key in an address: ${url}`);
			if (!url.endsWith('/api/events')) // it never ends
				this.loading.add(rq);
		});
		this.page.on('requestfinished', (rq) => this.loading.delete(rq));
		this.page.on('requestfailed', (rq) => this.loading.delete(rq));
	}

	async leave() {
		if (!this.page.isClosed()) {
			const kept = await this.page.evaluate(() =>
				JSON.stringify([location.href, document.cookie,
					Object.entries(localStorage)]))
				.catch(() => '');

			if (/codexible_(demo_|[0-9a-f]{32})/.test(kept))
				this.faults.push(`a key is kept in the open: ${kept}`);
		}
		await this.context.close();
		assert.deepEqual(this.faults, []);
	}

	// ---- looking ----

	role(role, name, options = {}) {
		return this.page.getByRole(role, name === undefined ? options
			: { name, exact: typeof name === 'string', ...options });
	}

	region(name) {
		return this.role('region', name);
	}

	async sees(locator) {
		await locator.first().waitFor({ state: 'visible' });
		return locator.first();
	}

	async gone(locator) {
		await locator.first().waitFor({ state: 'hidden' });
	}

	// An alert that begins so; its text.
	async alert(begin, within = this.page) {
		const found = within.getByRole('alert').filter({ hasText: begin });

		await this.sees(found);
		return (await found.first().innerText()).trim();
	}

	async goes(path) {
		await this.page.goto(path);
	}

	// Nothing is being loaded any more, nor is about to be.
	async settles() {
		let quiet = 0;

		await eventually(async () => {
			const still = this.loading.size === 0
				&& await this.page.evaluate(() =>
					document.querySelector('main h1') !== null &&
					document.querySelector('[aria-busy="true"]') === null);

			quiet = still ? quiet + 1 : 0;
			return quiet === 3;
		}, 'the page settles');
	}

	async at(path) {
		await eventually(() => new URL(this.page.url()).pathname === path,
			`the page goes to ${path}`);
	}

	// The page's clock stands still, after a leap that no test can miss; it had
	// page.clock.install() before the page came.
	async stand() {
		await this.page.clock.pauseAt(
			await this.page.evaluate(() => Date.now()) + 20000);
	}

	// What happens while it stands, but for the frames and turns of a page.
	async ticks(fn, what) {
		await eventually(async () => {
			await this.page.clock.runFor(20);
			return fn();
		}, what);
	}

	async shot(name) {
		await this.page.screenshot({ path: join(SHOTS, `${name}.png`) });
	}

	// For the log of a failure: what somebody at the page would tell.
	async tells() {
		const shown = await Promise.race([sleep(5000), this.page.evaluate(() => ({
			at: location.pathname + location.hash,
			title: document.title,
			alerts: [...document.querySelectorAll('[role=alert]')]
				.map((e) => e.textContent),
			dialogs: [...document.querySelectorAll('dialog[open] h2')]
				.map((e) => e.textContent),
			live: document.querySelector('[data-testid=live]')?.dataset.state,
			busy: document.querySelectorAll('[aria-busy=true]').length,
		})).catch((e) => e.message)]);

		return `  its page: ${JSON.stringify(shown ?? 'no answer')}, loading: `
			+ JSON.stringify([...this.loading].map((rq) =>
				new URL(rq.url()).pathname));
	}

	async shift() {
		return this.page.evaluate(() => window.tallyShift);
	}

	// What it led to is looked at by who chose: check() wants it at once, also of
	// a page whose clock stands.
	async choose(group, name) {
		await this.role('group', group).or(this.role('radiogroup', group))
			.getByRole('radio', { name, exact: true }).click({ force: true });
	}

	// ---- rules of accessibility ----

	// By all rules, or by those that are named.
	async accessible(what, rules) {
		await this.page.evaluate(AXE);
		const { violations } = await this.page.evaluate((runOnly) =>
			window.axe.run(document, { resultTypes: ['violations'],
				...(runOnly && { runOnly }) }), rules);
		const told = violations.map((v) => `${v.id}: ${v.help}\n`
			+ v.nodes.map((n) => `    ${n.html.slice(0, 200)}\n`
				+ `      ${n.failureSummary.replace(/\s+/g, ' ').slice(0, 300)}`)
				.join('\n'));

		assert.equal(told.join('\n'), '', `${what}: axe`);
	}

	// Charts follow a width that changed a frame later.
	async noSidewaysScroll(what) {
		await eventually(async () => {
			const { inner, wide } = await this.page.evaluate(() => ({
				inner: document.documentElement.clientWidth,
				wide: document.documentElement.scrollWidth,
			}));

			assert.ok(wide <= inner, `${wide} px wide in ${inner}`);
			return true;
		}, what);
	}
}

// ---- waiting ----

export async function eventually(fn, what) {
	const end = Date.now() + PATIENCE_MS;
	let last;

	for (;;) {
		try {
			last = await fn();
			if (last) return last;
		} catch (e) {
			last = e;
		}
		if (Date.now() > end)
			assert.fail(`${what}: not within ${PATIENCE_MS} ms (${last})`);
		await sleep(50);
	}
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// ---- the daemon ----

export async function call(key, path, { method = 'GET', body, headers } = {}) {
	const answer = await fetch(URL_BASE + path, {
		method,
		headers: {
			...(key ? { Authorization: `Bearer ${key}` } : {}),
			...(body ? { 'Content-Type': 'application/json' } : {}),
			...headers,
		},
		body: body && JSON.stringify(body),
	});
	const text = await answer.text();

	return {
		status: answer.status,
		id: answer.headers.get('x-request-id'),
		headers: answer.headers,
		body: text === '' ? null : JSON.parse(text),
	};
}

// A key of that user for one test.
export async function makeKey(owner, body) {
	const made = await call(owner, '/api/keys', { method: 'POST', body });

	assert.equal(made.status, 201, JSON.stringify(made.body));
	return made.body;
}

export async function dropKey(owner, id) {
	await call(owner, `/api/keys/${id}`, { method: 'DELETE' });
}

// A user of its own, with nothing used: { key, id, email }.
export async function makeUser(name, plan = 'Pro') {
	const email = `${name}@browser.test`;
	const user = await call(BUSINESS, '/api/admin/users',
		{ method: 'POST', body: { email, name, plan } });

	assert.equal(user.status, 201, JSON.stringify(user.body));
	const made = await call(BUSINESS, '/api/admin/tokens', {
		method: 'POST',
		body: { user_id: user.body.id, label: `${name}'s first` },
	});

	assert.equal(made.status, 201, JSON.stringify(made.body));
	return { key: made.body.key, keyId: made.body.id, id: user.body.id, email };
}

const run = promisify(execFile);

// A command line of curl, as people paste it.
export async function shell(line) {
	return (await run('sh', ['-c', line])).stdout;
}
