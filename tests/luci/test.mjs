// The pages in the page harness: Chromium, the files of the package, and the real daemon on a table that is really full.
//   node test.mjs PROGRAM UBUSD FOLDER [STEP…]     STEP: a part of a step's name; SHOTS=1 draws the pictures of the README

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { HOG, Lab, PHONE, SIX } from './lab.mjs';
import { Server, app } from './server.mjs';
import { Ubus } from './ubus.mjs';
import { Uci } from './uci.mjs';
import { BASE, bounds, text as config } from './bounds.mjs';
import { HOSTILE, assert, leases, steps as walk, until } from './walk.mjs';

const [ program, ubusd, folder, ...wanted ] = process.argv.slice(2);
const { chromium } = createRequire(path.join(folder, 'package.json'))('playwright-core');
const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';

const lab = new Lab(program, path.join(folder, 'lab'));
const CONFIG = fs.readFileSync(path.join(app, '../ctwarden/files/etc/config/ctwarden'), 'utf8').replace('\'br-lan\'', '\'lan0\'');

// Names as the worst of hosts might call themselves: markup, 64 characters, bytes that are no text.
const names = { [HOG]: process.env.SHOTS ? 'game-console' : HOSTILE.padEnd(64, '!'), [PHONE]: 'phone' };
const hosts = {
	getDHCPLeases: { dhcp_leases: [ { ipaddr: HOG, hostname: names[HOG], macaddr: '02:00:00:00:00:66' }, { ipaddr: '192.168.7.101', hostname: 'a\ufffd\ufffd\u202eexe.moc', macaddr: '02:00:00:00:01:01' } ], dhcp6_leases: [] },
	getHostHints: { '02:00:00:00:00:20': { ipaddrs: [ PHONE ], ip6addrs: [ 'fd00:7::10' ], name: 'phone' } }
};

let caller = null, shown = 0;
const backend = async (object, method, args) => {
	if (object == 'rc' && method == 'init') {
		await site.start();
		return [ 0 ];
	}
	caller = caller || new Ubus(lab.ubus);
	return caller.call(object, method, args);
};

const server = new Server({ backend, exists: object => object != 'ctwarden' || !!lab.daemon, uci: new Uci(lab.config, () => lab.hup()), hosts });

const site = {
	hog: HOG, phone: PHONE, names, applies: 500,
	ways: [ [ '/ubus/', /does not do that: \S/ ], [ '/cgi-bin/luci/admin/ubus', /^(?![^]*does not do that)[^]*ctwarden refuses/ ] ],
	count: () => lab.count(), held: address => lab.held(address), six: net => lab.six(net), config: () => fs.readFileSync(lab.config, 'utf8'),
	fill(part) { lab.fill(part); },
	...leases(() => lab.rules()),
	async open(page, view, user, options = {}) {
		const name = view == 'status' ? 'admin/status/overview' : 'admin/network/ctwarden/' + view;
		// Both ways by turns, where none is named.
		const rpc = options.rpc || site.ways[++shown % 2][0];
		await page.goto(`http://127.0.0.1:${server.port}/cgi-bin/luci/${name}?session=${user[0].repeat(32)}&rpc=${rpc}${options.dark ? '&theme=dark' : ''}`);
		await until('the page', async () => await page.locator('#view > :not(.spinning)').count());
		assert(!await page.locator('.error-stack').count(), await page.locator('#view').innerText());
	},
	// The code that a call made by hand ends with.
	async raw(page, object, method, args) {
		return page.evaluate(async ([ object, method, args ]) => {
			const env = JSON.parse(document.getElementById('env').textContent);
			const answer = await (await fetch(env.rpc, { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'call', params: [ env.session, object, method, args ] }) })).json();
			return answer.error ? answer.error.code : answer.result[0];
		}, [ object, method, args ]);
	},
	async stop() { await lab.stop(); },
	async start() {
		await lab.start();
		await until('the object on ubus', async () => (await backend('ctwarden', 'status', {}))[0] == 0);
	}
};

// What only the harness can do.
const own = {
	async 'the settings take what `ctwarden check` takes, value by value'(site, page) {
		const file = path.join(folder, 'lab', 'checked');
		lab.configure(config(BASE));
		await site.open(page, 'settings', 'root');
		await page.locator('.cbi-value').first().waitFor();
		const found = await bounds(page, text => {
			fs.writeFileSync(file, text);
			try {
				execFileSync(program, [ 'check', '--config', file ], { stdio: 'ignore' });
				return true;
			} catch {
				return false;
			}
		});
		lab.configure(CONFIG);
		console.log(`   ${found.number} values of ${found.fields} options`);
		assert(!found.wrong.length, found.wrong.length + ': ' + found.wrong.slice(0, 10).join('; '));
		assert(found.number > 1500 && found.fields == 34, 'not all were tried');
	},

	async 'the LAN as a whole is not slowed down, and why not is said either way'(site, page) {
		lab.fill(0.5);
		for (const [ rpc, words ] of site.ways) {
			await site.open(page, 'top', 'root', { rpc });
			await page.locator(`[data-id="shed ${SIX}/64"]`).click();
			await until('a refusal by ' + rpc, async () => words.test(await page.locator('#modal_overlay').innerText()));
			assert(/the router|a LAN/.test(await page.locator('#modal_overlay').innerText()), 'not said why');
			assert(!await page.locator('#modal_overlay').getByRole('button', { name: 'Slow down', exact: true }).count(), 'it is offered all the same');
			assert(!site.left(SIX), 'it is slowed down');
		}
	},

	async 'without any access a page says so'(site, page) {
		for (const view of [ 'overview', 'top', 'emergency', 'status' ]) {
			await site.open(page, view, 'nobody');
			await until(view, async () => /No access|no access/.test(await page.locator('#view').innerText()));
		}
	},

	async 'an older daemon: a word of it, no error'(site, page) {
		server.rewrite = (object, method, answer) => object == 'ctwarden' ? (method == 'status' ? [ 0, { state: 'calm', count: 212 } ] : [ 3 ]) : answer;
		for (const view of [ 'overview', 'top', 'emergency', 'settings', 'status' ]) {
			await site.open(page, view, 'root');
			await until(view, async () => /too old|older than these pages/.test(await page.locator('#view').innerText()));
		}
		server.rewrite = (object, method, answer) => object == 'ctwarden' && method == 'history' ? [ 3 ] : answer;
		await site.open(page, 'overview', 'root');
		await until('the rest is there', async () => /oom for/.test(await page.locator('#view').innerText()));
	},

	async 'a busy daemon, a lost connection: words, and the page goes on'(site, page) {
		server.rewrite = (object, method, answer) => object == 'ctwarden' && method != 'status' && method != 'history' ? [ 7 ] : answer;
		await site.open(page, 'top', 'root');
		await until('busy', async () => /busy/.test(await page.locator('#view').innerText()));
		server.rewrite = () => { throw new Error('lost'); };
		await site.open(page, 'overview', 'root');
		await until('does not answer', async () => /does not answer/.test(await page.locator('#view').innerText()));
		server.rewrite = null;
		await until('it is back', async () => /oom for/.test(await page.locator('#view').innerText()));
		// The tile's load never rejects: else it would be off until the page is loaded again.
		server.rewrite = () => { throw new Error('lost'); };
		await site.open(page, 'status', 'root');
		await until('the tile says so', async () => /failed/.test(await page.locator('#view').innerText()));
		assert(!await page.locator('.failed').count(), 'the tile has switched itself off');
		server.rewrite = null;
		await until('the tile is back', async () => /oom for/.test(await page.locator('#view').innerText()));
	},

	async 'every sentence of a page can be translated'(site, page) {
		const pot = fs.readFileSync(path.join(app, 'po/templates/ctwarden.pot'), 'utf8');
		const ids = [ ...pot.matchAll(/^msgid ((?:".*"\n?)+)/gm) ].map(m => m[1].split('\n').filter(l => l).map(l => JSON.parse(l)).join(''));
		// Letters become what no English page has: what is left of them was not translated.
		server.translations = Object.fromEntries(ids.filter(id => id).map(id => [ id, id.replace(/%[%sdm.\d]*[sdm%]|[a-zA-Z]/g, c => c[0] == '%' ? c : 'ж') ]));
		const data = /[\d.,:/%±·]+|ctwarden|nft|fw4|iptables|\btcp\b|\budp\b|\bMB\b|\bMiB\b|\bKB\b|192\.168.*|fd00.*|ram-\d+|slabinfo|bucket/g;
		for (const view of [ 'emergency', 'settings', 'top', 'overview' ]) {
			await site.open(page, view, 'root');
			await page.waitForTimeout(1000);
			const left = await page.evaluate(() => [ ...document.querySelectorAll('.ctw h2, .ctw h3, .ctw h4, .ctw p, .ctw button, .ctw label, .ctw option, .ctw th, .ctw .cbi-value-description, .ctw .mark') ].map(n => n.textContent));
			const english = left.filter(text => /[a-zA-Z]{4,}/.test(text.replace(data, '')));
			assert(!english.length, view + ': ' + english.slice(0, 5).join(' | '));
		}
	},

	async 'what a poll costs: first paint, bytes, CPU'(site, page) {
		lab.fill(0.5);
		await page.addInitScript(() => {
			// When the count of the kernel is first to be seen.
			const watch = () => document.querySelector('.ctw-meter span') ? window.live = performance.now() : requestAnimationFrame(watch);
			requestAnimationFrame(watch);
		});
		const times = [];
		for (let i = 0; i < 5; i++) {
			await site.open(page, 'overview', 'root');
			await until('live data', async () => page.evaluate(() => window.live > 0));
			times.push(await page.evaluate(() => window.live));
		}
		times.sort((a, b) => a - b);
		await page.waitForTimeout(4000);
		server.replies.length = 0;
		const asked = server.log.length;
		const cpu = lab.cpu(), began = Date.now();
		await page.waitForTimeout(+(process.env.POLL_SECONDS || 45) * 1000);
		const share = (lab.cpu() - cpu) * 100000 / (Date.now() - began);
		const polls = server.replies.filter(r => /status/.test(r.methods));
		// The page has all there was: each poll goes on where the one before ended.
		const since = server.log.slice(asked).filter(entry => entry.method == 'history').map(entry => entry.args.since);
		assert(since.length >= 10 && since.every((n, i) => n > (since[i - 1] || 0)), 'the polls ask for what is there already: since ' + since.join(', '));
		const sizes = server.replies.filter(r => /history/.test(r.methods)).map(r => r.bytes).sort((a, b) => a - b);
		assert(sizes.length == since.length && sizes[sizes.length >> 1] < 3072, 'the median of the replies is ' + sizes[sizes.length >> 1] + ' bytes');
		// The longest there is: a whole day of a table of 262,144 under attack.
		const day = number => Array(240).fill(number);
		server.rewrite = (object, method, answer) => method == 'history' && answer[1]?.span == '24h'
			? [ 0, { ...answer[1], first: 0, next: 240, count: day(262144), max: day(262144), refused: day(99999), rungs: day(127) } ] : answer;
		await site.open(page, 'overview', 'root');
		const days = () => server.log.slice(asked).filter(entry => entry.method == 'history' && entry.args.span == '24h').map(entry => entry.args.since);
		await page.getByRole('button', { name: '24 hours' }).click();
		await until('a second poll of the day', async () => days().length > 1);
		assert(days()[0] === undefined && days().slice(1).every(n => n == 240), 'the day was asked for since ' + days().join(', '));
		const most = Math.max(...server.replies.map(r => r.bytes));
		console.log(`   live data ${times[2].toFixed(0)} ms after the start (median of 5; ${times[4].toFixed(0)} at most); ${polls.length} polls in ${((Date.now() - began) / 1000).toFixed(0)} s,`
			+ ` ${Math.max(...polls.slice(1).map(r => r.bytes))} bytes each, the largest reply of all ${most}; daemon ${share.toFixed(3)} % of a core`);
		assert(times[4] <= 1000, 'live data came after ' + times[4] + ' ms');
		assert(polls.length >= 10, 'only ' + polls.length + ' polls');
		assert(most <= 8192, `a reply of ${most} bytes: ` + server.replies.find(r => r.bytes == most).methods);
		assert(share <= 0.5, `the daemon takes ${share} % of a core`);
	},

	async 'a full table: it is said, drawn, and kept as an incident with who held it'(site, page) {
		// Saturated it is called after `hold`.
		lab.configure(CONFIG.replace('option policy \'flush\'', 'option policy \'watch\'').replace('option hold \'10\'', 'option hold \'1\''));
		lab.hup();
		await site.open(page, 'overview', 'root');
		const began = Date.now();
		lab.fill(1);
		lab.knock(3000);
		const text = () => page.locator('#view').innerText();
		await until('it says that it is full', async () => /Full: refusing [\d,]+ new connections a second for [1-9]\d* s\b/.test(await text()), 15000);
		const said = +(await text()).match(/a second for (\d+) s/)[1];
		assert(said <= (Date.now() - began) / 1000 + 1, `full for ${said} s, and it was filled ${Date.now() - began} ms ago`);
		await until('refusals are drawn', async () => await page.locator('.ctw-chart path').count() > 0, 15000);
		lab.configure(CONFIG);
		lab.hup();
		lab.knock(3000);
		await until('relief', async () => lab.count() < lab.max() * 0.9, 15000);
		// The newest stands first: who held it, and what was done, in its row.
		const row = page.locator('tr:has(td[data-title="Who held it"])').first(), cell = title => row.locator(`td[data-title="${title}"]`).innerText();
		await until('the incident', async () => await row.count() && /trimmed \d+ times, removed [\d,]+ connections/.test(await cell('What was done')), 20000);
		await until('who held it, by address and name', async () => new RegExp(HOG.replace(/\./g, '\\.') + '\\b[^]*\\d %').test(await cell('Who held it')) && (await cell('Who held it')).includes(names[HOG].slice(0, 8)));
		assert(/203\.0\.|198\.51\.100\.53/.test(await cell('Where to')), 'no destination: ' + await cell('Where to'));
		assert(/Saturated/.test(await cell('At worst')), await cell('At worst'));
		await until('a flag', async () => await page.locator('.ctw-chart .flag').count() > 0, 15000);
	}
};

// The pictures of the README: an attack that is first only watched, then relieved.
async function shots(browser) {
	const to = path.join(app, 'screenshots'), pause = seconds => new Promise(resolve => setTimeout(resolve, seconds * 1000));
	fs.mkdirSync(to, { recursive: true });
	const watched = await browser.newPage({ viewport: { width: 820, height: 640 } });
	for (const part of [ 0.3, 0.34, 0.32, 0.45, 0.6, 0.72 ]) {
		lab.fill(part);
		await pause(6);
	}
	lab.configure(CONFIG.replace('option policy \'flush\'', 'option policy \'watch\''));
	lab.hup();
	lab.fill(1);
	for (let i = 0; i < 6; i++) {
		lab.knock(400 + 400 * i);
		await pause(1);
	}
	await site.open(watched, 'overview', 'root');
	lab.knock(3000);
	await pause(2);
	lab.configure(CONFIG);
	lab.hup();
	lab.knock(1000);
	await pause(20);
	await watched.screenshot({ path: path.join(to, 'overview.png') });
	lab.fill(0.72);
	for (const [ view, width, height, dark ] of [ [ 'top', 820, 480, true ], [ 'emergency', 360, 640, true ] ]) {
		const page = await browser.newPage({ viewport: { width, height } });
		await site.open(page, view, 'root', { dark });
		await pause(1.5);
		await page.screenshot({ path: path.join(to, view + '.png') });
	}
}

let passed = 0, failed = 0;

async function main() {
	lab.up();
	const broker = spawn(ubusd, [ lab.ubus ], { stdio: [ 'pipe', 'inherit', 'inherit' ] });
	process.once('exit', () => broker.kill('SIGKILL'));
	lab.configure(CONFIG);
	await until('ubusd', async () => fs.existsSync(lab.ubus));
	server.port = await server.listen();
	await site.start();
	const browser = await chromium.launch({ executablePath: CHROMIUM, args: [ '--no-sandbox', '--disable-gpu' ] });
	const all = Object.entries({ ...own, ...walk }).filter(([ name ]) => !wanted.length || wanted.some(w => name.includes(w)));
	if (process.env.SHOTS)
		await shots(browser);
	else
		for (const [ name, step ] of all) {
			const context = await browser.newContext({ viewport: { width: 1000, height: 800 } });
			const page = await context.newPage(), began = Date.now(), faults = [];
			// A form that is not saved for what stands in it is rejected, in LuCI too.
			page.on('pageerror', err => /a number from/.test(err.message) || faults.push(err.message));
			page.setDefaultTimeout(10000);
			server.rewrite = server.translations = null;
			try {
				if (!lab.daemon)
					await site.start();
				await step(site, page);
				assert(!faults.length, 'errors in the page: ' + faults.join('; '));
				assert(!server.log.some(entry => entry.user == 'guest' && !entry.denied && Object.values(acl.write.ubus).flat().includes(entry.method) && entry.object == 'ctwarden'), 'a write call of the guest got through');
				passed++;
				console.log(`ok ${name} (${Date.now() - began} ms)`);
			} catch (err) {
				failed++;
				console.log(`FAILED ${name}: ${err.message.slice(0, 600)}`);
				await page.screenshot({ path: path.join(folder, 'failed-' + failed + '.png'), fullPage: true }).catch(() => {});
				fs.writeFileSync(path.join(folder, 'failed-' + failed + '.txt'), await page.locator('body').innerText().catch(() => ''));
				lab.configure(CONFIG);
				if (lab.daemon)
					lab.hup();
			}
			await context.close();
		}
	await browser.close();
	await lab.stop();
	server.close();
	if (caller)
		caller.close();
	broker.stdin.end();
	lab.down();
}

const acl = JSON.parse(fs.readFileSync(path.join(app, 'root/usr/share/rpcd/acl.d/luci-app-ctwarden.json')))['luci-app-ctwarden'];
await main().catch(err => {
	failed++;
	console.log('FAILED ' + err.stack);
	lab.down();
});
if (!process.env.SHOTS)
	console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
