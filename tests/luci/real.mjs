// The walk of walk.mjs in the LuCI of a real OpenWrt, with the browser on its LAN.
//   node real.mjs FOLDER URL ROUTER PID [STEP…]
//     FOLDER   where playwright-core is installed (tests/luci/run does that), and pictures of what failed go
//     URL      of the router, as http://10.77.0.1
//     ROUTER   a command that runs its last argument as a shell line on the router
//     PID      its init, on this machine: conntrack(8) and nft(8) of this machine look into its network namespace
// ctwarden and luci-app-ctwarden are installed there, and root has no password. The limit of the table is the machine's: where
// it is above 16,384, the steps that need a full one fail.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { entries } from './lab.mjs';
import { HOSTILE, assert, leases, steps, until } from './walk.mjs';

const [ folder, url, router, init, ...wanted ] = process.argv.slice(2);
const { chromium } = createRequire(path.join(folder, 'package.json'))('playwright-core');
const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const LAN = url.match(/\/\/(\d+\.\d+\.\d+)\./)[1];
const HOG = LAN + '.66', PHONE = LAN + '.20';
// A lease's name has no blanks.
const NAME = HOSTILE.replace(/ /g, '/');

const sh = line => execFileSync('sh', [ '-c', router + ' "$1"', 'sh', line ], { encoding: 'utf8', maxBuffer: 1 << 26, stdio: [ 'ignore', 'pipe', 'pipe' ] });
const inside = (...command) => execFileSync('nsenter', [ `--net=/proc/${init}/ns/net`, ...command ], { encoding: 'utf8', maxBuffer: 1 << 26, stdio: [ 'ignore', 'pipe', 'pipe' ] });
const published = () => sh('ubus list').split('\n').includes('ctwarden');
const sessions = {};

async function login(context, user) {
	const page = await context.newPage();
	await page.goto(url + '/cgi-bin/luci/');
	await page.locator('input[name=luci_username]').fill(user);
	await page.locator('input[name=luci_password]').fill(user == 'root' ? '' : user);
	await page.keyboard.press('Enter');
	await page.waitForSelector('#view');
	const cookies = await context.cookies();
	await page.close();
	return cookies;
}

const site = {
	hog: HOG, phone: PHONE, names: { [HOG]: NAME, [PHONE]: 'phone' }, applies: 2500, ways: [ [ 'as it comes', /does not do that|refuses/ ] ],
	count: () => +inside('conntrack', '-C'),
	max: () => +fs.readFileSync('/proc/sys/net/netfilter/nf_conntrack_max', 'utf8'),
	held: address => inside('conntrack', '-L', '-s', address).split('\n').filter(line => line).length,
	six: (net = 'fd00:7:') => inside('conntrack', '-L', '-f', 'ipv6').split('\n').filter(line => line.includes(' src=' + net)).length,
	config: () => sh('cat /etc/config/ctwarden'),
	fill(part) {
		const file = path.join(folder, 'entries');
		fs.writeFileSync(file, entries(Math.round(Math.min(this.max(), 16384) * part), LAN, HOG, PHONE));
		inside('conntrack', '-F');
		inside('conntrack', '-R', file);
	},
	...leases(() => inside('nft', 'list', 'ruleset')),
	async open(page, view, user, options = {}) {
		await page.emulateMedia({ colorScheme: options.dark ? 'dark' : 'light' });
		await page.context().clearCookies();
		sessions[user] = sessions[user] || await login(page.context(), user);
		await page.context().addCookies(sessions[user]);
		await page.goto(`${url}/cgi-bin/luci/admin/${view == 'status' ? 'status/overview' : 'network/ctwarden/' + view}`);
		await until('the page', async () => await page.locator('#view > :not(.spinning)').count(), 20000);
		assert(!await page.locator('.alert-message.danger pre').count(), await page.locator('body').innerText());
	},
	async raw(page, object, method, args) {
		return page.evaluate(async ([ object, method, args ]) => {
			const answer = await (await fetch(L.url('admin/ubus'), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'call', params: [ L.env.sessionid, object, method, args ] }) })).json();
			return answer.error ? answer.error.code : answer.result[0];
		}, [ object, method, args ]);
	},
	async stop() {
		sh('/etc/init.d/ctwarden stop');
		await until('no object on ubus', async () => !published());
	},
	async start() {
		sh('/etc/init.d/ctwarden start');
		await until('the object on ubus', async () => published());
	}
};

// What only a real router has.
const own = {
	async 'the menu leads to every page'(site, page) {
		await site.open(page, 'status', 'root');
		const links = () => page.evaluate(() => [ ...document.querySelectorAll('a[href*="network/ctwarden"]') ].map(a => a.getAttribute('href')));
		await until('an entry in the menu', async () => (await links()).length);
		await page.goto(url + (await links())[0]);
		await until('the first page', async () => /Connection Table/.test(await page.locator('#view').innerText()));
		for (const [ title, view ] of [ [ 'Who fills it', 'top' ], [ 'Emergency', 'emergency' ], [ 'Settings', 'settings' ], [ 'Overview', 'overview' ] ]) {
			await page.locator(`#tabmenu a[href$="network/ctwarden/${view}"]`).click();
			await until(title, async () => page.url().endsWith(view) && await page.locator('.ctw').count());
		}
	}
};

let passed = 0, failed = 0;
const furnish = fs.readFileSync(path.join(path.dirname(fileURLToPath(import.meta.url)), 'furnish.sh'), 'utf8');
sh(`set -- '${HOG}' '${PHONE}' '${NAME}'\n${furnish}`);

const browser = await chromium.launch({ executablePath: CHROMIUM, args: [ '--no-sandbox', '--disable-gpu' ] });
for (const [ name, step ] of Object.entries({ ...own, ...steps }).filter(([ n ]) => !wanted.length || wanted.some(w => n.includes(w)))) {
	const context = await browser.newContext({ viewport: { width: 1000, height: 800 } });
	const page = await context.newPage(), began = Date.now(), faults = [];
	// A form that is not saved for what stands in it is rejected, in LuCI too.
	page.on('pageerror', err => /a number from/.test(err.message) || faults.push(err.message));
	page.setDefaultTimeout(15000);
	try {
		if (!published())
			await site.start();
		await step(site, page);
		assert(!faults.length, 'errors in the page: ' + faults.join('; '));
		passed++;
		console.log(`ok ${name} (${Date.now() - began} ms)`);
	} catch (err) {
		failed++;
		console.log(`FAILED ${name}: ${err.message.slice(0, 600)}`);
		await page.screenshot({ path: path.join(folder, `real-${failed}.png`), fullPage: true }).catch(() => {});
	}
	await context.close();
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
