// run.mjs - all tests of the pages: some side by side, those that stop
// something at the end and alone.  `node run.mjs WORD` runs those whose name
// has it.
import { close, open, Visitor } from './lib.mjs';
import admin from './admin.mjs';
import keys from './keys.mjs';
import login from './login.mjs';
import looks from './looks.mjs';
import outage from './outage.mjs';
import overview from './overview.mjs';
import states from './states.mjs';

const LANES = Number(process.env.LANES || 3); // they wait more than they work
const wanted = process.argv[2] || '';
let passed = 0;
let failed = 0;

async function runOne(suite, name, fn) {
	const begun = Date.now();
	const visitors = [];
	const come = async (options) => {
		const v = await Visitor.come(options);

		visitors.push(v);
		return v;
	};
	let fault;

	try {
		await fn(come);
	} catch (e) {
		fault = e;
		for (const [i, v] of visitors.entries())
			await v.shot(`failed-${suite}-${name}-${i}`.replace(/\W+/g, '-'))
				.catch(() => {});
	}
	for (const v of visitors) {
		try {
			await v.leave();
		} catch (e) {
			fault ??= e;
		}
	}
	if (fault === undefined) passed++;
	else failed++;
	console.log(`${fault === undefined ? 'ok' : 'FAILED'} ${suite}: ${name} `
		+ `(${Date.now() - begun} ms)`);
	if (fault !== undefined) console.log(fault.stack || fault);
}

async function runAll(tests, lanes) {
	const left = tests.filter(([suite, name]) =>
		`${suite}: ${name}`.includes(wanted));
	const lane = async () => {
		for (let t = left.shift(); t !== undefined; t = left.shift())
			await runOne(...t);
	};

	await Promise.all(Array.from({ length: lanes }, lane));
}

const begun = Date.now();

console.log(`Chromium ${await open()}`);
// the longest first, so that no lane is alone at the end
await runAll([...looks, ...keys, ...states, ...overview, ...admin, ...login],
	LANES);
await runAll(outage, 1);
await close();
console.log(`${passed} passed, ${failed} failed, ${Date.now() - begun} ms`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
