// run.mjs - all tests of the pages: some side by side, those that stop
// something at the end and alone.  `node run.mjs WORD` runs those whose name
// has it.  What failed, and why, comes last: of a long log people see the end.
import { readFileSync } from 'node:fs';
import { close, open, sleep, Visitor } from './lib.mjs';
import admin from './admin.mjs';
import keys from './keys.mjs';
import login from './login.mjs';
import looks from './looks.mjs';
import outage from './outage.mjs';
import overview from './overview.mjs';
import states from './states.mjs';

const LANES = Number(process.env.LANES || 3); // they wait more than they work
const wanted = process.argv[2] || '';
const TEST_MAX_MS = 300000; // what runs in a page waits without an end
const FAULT_LINES = 16;
let passed = 0;
const failed = [];

async function runOne(suite, name, fn) {
	const begun = Date.now();
	const visitors = [];
	const seen = [];
	const come = async (options) => {
		const v = await Visitor.come(options);

		visitors.push(v);
		return v;
	};
	let fault;

	try {
		await Promise.race([fn(come), sleep(TEST_MAX_MS).then(() => {
			throw new Error(`not done within ${TEST_MAX_MS} ms`);
		})]);
	} catch (e) {
		fault = e;
		for (const [i, v] of visitors.entries()) {
			seen.push(await v.tells());
			await v.shot(`failed-${suite}-${name}-${i}`.replace(/\W+/g, '-'))
				.catch(() => {});
		}
	}
	for (const v of visitors) {
		try {
			await v.leave();
		} catch (e) {
			fault ??= e;
		}
	}
	const told = `${suite}: ${name} (${Date.now() - begun} ms)`;

	if (fault === undefined) {
		passed++;
		console.log(`ok ${told}`);
		return;
	}
	const lines = String(fault.stack || fault).split('\n');

	console.log([`FAILED ${told}`, ...lines].join('\n'));
	failed.push([`FAILED ${told}`, ...lines.slice(0, FAULT_LINES), ...seen]
		.join('\n'));
}

// The daemon's side of it, which goes with its directory.
function daemonLog() {
	try {
		return readFileSync(`${process.env.DEMO_DIR}/log`, 'utf8').trimEnd()
			.split('\n').slice(-8).join('\n');
	} catch (e) {
		return `no log: ${e.message}`;
	}
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
if (failed.length > 0) console.log(`the daemon said:\n${daemonLog()}`);
console.log(`${passed} passed, ${failed.length} failed, `
	+ `${Date.now() - begun} ms`);
for (const told of failed) console.log(told);
process.exit(failed.length === 0 && passed > 0 ? 0 : 1);
