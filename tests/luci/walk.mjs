// The walk through all pages, button by button, each effect looked up in the kernel. The same for the page harness and for the
// LuCI of a real router: what differs between them is in `site`.
//
// A site has
//   open(page, view, user)   shows a page to `root` or `guest` (who may only look); view `status` is the overview of LuCI
//   count() held(address) config() shed(address) opened()   what the kernel and the config file say
//   fill(part)               fills the table anew, to a part of 1, most of it by `hog`
//   hog phone                addresses; `six` counts what those of an IPv6 network hold, or of both
//   stop() start()           the daemon
//   ways                     how a call gets to the daemon, each with the words of a refusal: `open` takes the first as `rpc`
//   names                    how hosts call themselves: address → name

import { ROUTED, SIX } from './lab.mjs';

export const HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>';

export function assert(condition, text) {
	if (!condition)
		throw new Error(text);
}

export async function until(what, look, patience = 8000) {
	for (const end = Date.now() + patience; Date.now() < end;) {
		if (await look())
			return;
		await new Promise(resolve => setTimeout(resolve, 100));
	}
	throw new Error('not within ' + patience + ' ms: ' + what);
}

// What leases there are, by a ruleset: elements of the sets that they are given in, and how many seconds the kernel has for each.
export function leases(rules) {
	const sets = () => [ ...rules().matchAll(/set (\S+) \{[^}]*?elements = \{([^}]*)\}/g) ].map(m => [ m[1], m[2] ]);
	const seconds = text => [ ...text.matchAll(/(\d+)(ms|d|h|m|s)/g) ].reduce((sum, m) => sum + m[1] * { d: 86400, h: 3600, m: 60, s: 1, ms: 0.001 }[m[2]], 0);
	return {
		left(address) {
			const element = sets().filter(([ name ]) => /shed|to[46]/.test(name)).flatMap(([ , elements ]) => elements.split(',')).find(e => e.includes(address));
			return element ? seconds(element.match(/expires (\S+)/)[1]) : 0;
		},
		shed: address => sets().some(([ name, elements ]) => /shed|to[46]/.test(name) && elements.includes(address)),
		opened: () => sets().some(([ name ]) => /lan|all|routed/.test(name))
	};
}

const button = (page, name, within = '#view') => page.locator(within).getByRole('button', { name, exact: true }).first();
const dialog = page => page.locator('#modal_overlay .modal');
const field = (page, section, option) => page.locator(`[id="cbi-ctwarden-${section}-${option}"]`).locator('input:not([type=hidden]), select').first();

// Presses a button, waits for what the dialog says it would do, goes, and gives what it then says.
async function goThrough(page, opener, go, look = async () => {}) {
	await opener.click();
	const yes = dialog(page).getByRole('button', { name: go, exact: true });
	await yes.waitFor({ timeout: 15000 });
	const before = await dialog(page).innerText();
	await look(before);
	await yes.click();
	const close = dialog(page).getByRole('button', { name: 'Close', exact: true });
	await until('an answer in the dialog', async () => await close.count() && !(await dialog(page).innerText()).includes('Working'), 15000);
	const after = await dialog(page).innerText();
	await close.click();
	await until('the dialog closed', async () => !await page.evaluate(() => document.body.classList.contains('modal-overlay-active')));
	return { before, after };
}

// In the real one it is a choice of two, whose left part is the first.
const saveAndApply = page => page.locator('.cbi-page-actions .cbi-button-apply').first().click({ position: { x: 20, y: 12 } });

const number = text => +text.replace(/[^\d]/g, '');
const body = page => page.locator('#view').innerText();

// Every step by its name, in order. Each gets a page of its own from `newPage`.
export const steps = {
	async 'the overview says how full it is, and keeps saying it'(site, page) {
		site.fill(0.5);
		await site.open(page, 'overview', 'root');
		await until('a sentence', async () => /Room for|room for|Full/.test(await body(page)));
		const shown = async () => number((await page.locator('.ctw-meter span').first().innerText()).split(' of ')[0]);
		await until('the count of the kernel', async () => Math.abs(await shown() - site.count()) < 50);
		site.fill(0.55);
		await until('the new count, by polling', async () => Math.abs(await shown() - site.count()) < 50);
		await until('a line in the chart', async () => await page.locator('.ctw-chart polyline').count() > 0, 10000);
		const text = await body(page);
		for (const word of [ 'relief starts at', 'Hash slots', 'Why this limit', 'What it may do', 'Incidents', 'when full it takes' ])
			assert(text.includes(word), word + ' is missing');
	},

	async 'the chart of 24 hours and back'(site, page) {
		await site.open(page, 'overview', 'root');
		await button(page, '24 hours').click();
		await until('the day', async () => /24 hours ago|Nothing has been recorded/.test(await body(page)));
		assert(await button(page, '24 hours').getAttribute('aria-pressed') == 'true', 'the button does not say that it is pressed');
		await button(page, '5 minutes').click();
		await until('the minutes', async () => (await body(page)).includes('5 minutes ago'));
	},

	async 'sources by name, and a hog is trimmed'(site, page) {
		site.fill(0.6);
		await site.open(page, 'top', 'root');
		await until('the hog', async () => (await body(page)).includes(site.hog));
		const cell = (address, title) => page.locator('#view tr', { has: page.locator(`[data-id="trim ${address}"]`) }).locator(`td[data-title="${title}"]`).innerText();
		const read = (await body(page)).match(/From a random sample of ([\d,]+) of ([\d,]+) connections; ± is one standard error/);
		assert(read && number(read[1]) < number(read[2]) && Math.abs(number(read[2]) - site.count()) < 50, 'no sample: ' + await body(page));
		const share = (await cell(site.hog, 'Share')).match(/([\d.]+) % ± ([\d.]+) %/);
		assert(share, 'no error of sampling: ' + await cell(site.hog, 'Share'));
		// What an honest sample of so many is off by; and it is not off by more than four of those.
		const true_ = site.held(site.hog) / site.count(), error = 100 * Math.sqrt(true_ * (1 - true_) / number(read[1]));
		assert(share[2] > error / 3 && share[2] < error * 1.5 && Math.abs(share[1] - 100 * true_) <= 4 * error + 0.1, `${share[0]} is said of ${100 * true_} %, from ${read[1]}`);
		for (const [ address, mac ] of [ [ site.hog, '02:00:00:00:00:66' ], [ site.phone, '02:00:00:00:00:20' ] ])
			await until('name and MAC of ' + address, async () => (await cell(address, 'Source')).includes(mac) && (await cell(address, 'Source')).includes(site.names[address].slice(0, 5)));
		const held = site.held(site.hog), others = site.held(site.phone);
		assert(held > 100, 'the hog holds nothing');
		const said = await goThrough(page, page.locator(`[data-id="trim ${site.hog}"]`), 'Remove them', async words =>
			assert(Math.abs(number(words.match(/([\d,. ]+) of/)[1]) - held) <= held / 20, 'it says ' + words + ', the kernel has ' + held));
		assert(/as read back/.test(said.after), said.after);
		assert(site.held(site.hog) == 0, site.held(site.hog) + ' of the hog are left');
		assert(site.held(site.phone) >= others - others / 10, 'the phone lost connections');
	},

	async 'networks, destinations, states; refresh and count all'(site, page) {
		site.fill(0.5);
		await site.open(page, 'top', 'root');
		await button(page, 'Networks').click();
		await until('a network', async () => /\/24/.test(await body(page)));
		await button(page, 'Destinations').click();
		await until('a destination', async () => /:53\/udp/.test(await body(page)));
		await button(page, 'States').click();
		await until('states', async () => /unreplied/.test(await body(page)) && /Idle for at least/.test(await body(page)));
		await button(page, 'Sources').click();
		await until('sources', async () => (await body(page)).includes(site.hog));
		assert(/%\s*±/.test(await body(page)), 'a sample without its error');
		await button(page, 'Count all').click();
		await until('all counted', async () => /connections were counted/.test(await body(page)));
		assert(!/±/.test(await body(page)), 'all were counted, and it is not sure');
		await button(page, 'Refresh').click();
		await page.getByLabel('Refresh every').check();
		site.fill(0.55);
		const before = await page.locator('table').first().innerText();
		await until('a refresh by itself', async () => await page.locator('table').first().innerText() != before, 15000);
	},

	async 'unanswered, over and idle connections are trimmed from the states'(site, page) {
		for (const [ key, id, opener ] of [ [ 'unreplied', 'trim unreplied' ], [ 'closing', 'trim closing' ], [ 'idle', 'trim idle' ] ]) {
			site.fill(0.5);
			await site.open(page, 'top', 'root');
			await button(page, 'States').click();
			await until('states', async () => await page.locator(`[data-id="${id}"]`).count());
			const before = site.count(), said = await goThrough(page, opener || page.locator(`[data-id="${id}"]`), 'Remove them');
			assert(site.count() < before - 5, key + ': nothing was removed: ' + said.after);
		}
	},

	async 'a host and a destination are slowed down'(site, page) {
		site.fill(0.5);
		await site.open(page, 'top', 'root');
		await until('the hog', async () => await page.locator(`[data-id="shed ${site.hog}"]`).count());
		assert(!site.shed(site.hog), 'it is slowed down before');
		await goThrough(page, page.locator(`[data-id="shed ${site.hog}"]`), 'Slow down', async words => {
			assert(/connections now/.test(words), words);
			await dialog(page).locator('select').selectOption('5');
		});
		await until('a lease in the kernel', async () => site.shed(site.hog));
		await button(page, 'Destinations').click();
		const row = page.locator('[data-id$=":53/udp"][data-id^="shed "]').first();
		await row.waitFor();
		await goThrough(page, row, 'Slow down');
		await until('a lease for the destination', async () => site.shed('198.51.100.53'));
		await site.open(page, 'overview', 'root');
		await until('how many', async () => /Slowed down\s+2/.test(await body(page)));
	},

	async 'an IPv6 network of a host is trimmed, and slowed down for the time that was chosen'(site, page) {
		const key = ROUTED + '/64';
		site.fill(0.5);
		await site.open(page, 'top', 'root');
		await page.locator(`[data-id="trim ${key}"]`).waitFor();
		const held = site.six(ROUTED), others = site.held(site.hog);
		assert(held > 100, 'it holds nothing');
		await goThrough(page, page.locator(`[data-id="trim ${key}"]`), 'Remove them', async words =>
			assert(Math.abs(number(words.match(/([\d,. ]+) of/)[1]) - held) <= held / 20, 'it says ' + words + ', the kernel has ' + held));
		assert(site.six(ROUTED) == 0, site.six(ROUTED) + ' are left');
		assert(site.six(SIX) > 100, 'so did the other network');
		assert(site.held(site.hog) >= others - others / 10, 'the hog lost connections');
		site.fill(0.5);
		await button(page, 'Refresh').click();
		await page.locator(`[data-id="shed ${key}"]`).waitFor();
		assert(!site.left(ROUTED), 'it is slowed down before');
		let began;
		await goThrough(page, page.locator(`[data-id="shed ${key}"]`), 'Slow down', async () => {
			await dialog(page).locator('select').selectOption('1');
			began = Date.now();
		});
		// The kernel never has it for longer than was chosen, and has it to the end: what it has is renewed on the way.
		let last = 0, most = 0;
		for (let now = 0; now < 70; now = (Date.now() - began) / 1000) {
			const left = site.left(ROUTED);
			if (left) {
				assert(now - last < 3, `it was out of the kernel from ${last} s to ${now} s`);
				last = now;
				most = Math.max(most, now + left);
			} else if (now > 62)
				break;
			await page.waitForTimeout(500);
		}
		assert(last > 57 && last < 62 && most < 62, `a minute was ${last} s, and the kernel had it to ${most} s`);
	},

	async 'networks and destinations: what each row offers, and what it protects'(site, page) {
		const offered = key => page.evaluate(k => [ ...document.querySelectorAll('#view [data-id]') ].map(n => n.dataset.id.split(' ')).filter(([ , of ]) => of == k).map(([ verb ]) => verb).join(), key);
		const net = site.hog.replace(/\d+$/, '0/24');
		for (const [ tab, key, verbs, says ] of [
			[ 'Networks', SIX + '/48', 'protect', { source: SIX + '/48' } ], [ 'Networks', net, 'protect' ],
			[ 'Destinations', '198.51.100.53:53/udp', 'shed,protect', { destination: '198.51.100.53', proto: 'udp', port: '53' } ]
		]) {
			site.fill(0.5);
			await site.open(page, 'top', 'root');
			await button(page, tab).click();
			await page.locator(`[data-id="protect ${key}"]`).waitFor();
			assert(await offered(key) == verbs, `${key} offers ${await offered(key)}`);
			assert(/Trim is for a source/.test(await body(page)), 'no word of why not');
			if (!says)
				continue;
			await page.locator(`[data-id="protect ${key}"]`).click();
			const yes = dialog(page).getByRole('button', { name: 'Save & Apply', exact: true });
			await yes.waitFor();
			await yes.click();
			const section = () => site.config().split(/^(?=config )/m).find(s => /^config protect/.test(s) && Object.entries(says).every(([ o, v ]) => s.includes(`option ${o} '${v}'`)));
			await until('a section in the config', async () => section(), 20000);
			await new Promise(resolve => setTimeout(resolve, site.applies));
		}
		site.fill(0.5);
		const six = site.six(), phone = site.held(site.phone);
		assert(six > 100 && phone > 100, 'nothing to be spared');
		await site.open(page, 'emergency', 'root');
		await goThrough(page, button(page, 'Flush…'), 'Flush');
		assert(site.six() >= six * 0.9 && site.held(site.phone) >= phone * 0.9, `of ${six} and ${phone} there are ${site.six()} and ${site.held(site.phone)}`);
		assert(site.held(site.hog) == 0, 'the hog is still there');
		await site.open(page, 'settings', 'root');
		const remove = page.locator('#view').getByRole('button', { name: 'Delete', exact: true });
		await remove.first().waitFor();
		for (let n = await remove.count(); n > 0; n--) {
			await remove.first().click();
			await until('it is gone from the page', async () => await remove.count() < n);
		}
		await saveAndApply(page);
		await until('the sections gone', async () => !/^config protect/m.test(site.config()), 20000);
		await new Promise(resolve => setTimeout(resolve, site.applies));
	},

	async 'a host is protected, and a trim spares it'(site, page) {
		site.fill(0.5);
		await site.open(page, 'top', 'root');
		await until('the phone', async () => await page.locator(`[data-id="protect ${site.phone}"]`).count());
		await page.locator(`[data-id="protect ${site.phone}"]`).click();
		const yes = dialog(page).getByRole('button', { name: 'Save & Apply', exact: true });
		await yes.waitFor();
		await dialog(page).locator('input[type=text]').fill('Phone');
		await yes.click();
		await until('a section in the config', async () => /config protect/.test(site.config()) && site.config().includes(site.phone) && site.config().includes('Phone'), 20000);
		await new Promise(resolve => setTimeout(resolve, site.applies));
		await site.open(page, 'emergency', 'root');
		const before = site.held(site.phone);
		assert(before > 20, 'the phone holds nothing');
		await goThrough(page, button(page, 'Flush…'), 'Flush');
		assert(site.held(site.hog) == 0, 'the hog is still there');
		assert(site.held(site.phone) >= before * 0.9, `of the phone's ${before} there are ${site.held(site.phone)}`);
	},

	async 'a protected connection is taken out of the settings again'(site, page) {
		await site.open(page, 'settings', 'root');
		const remove = page.locator('#view').getByRole('button', { name: 'Delete', exact: true }).first();
		await remove.waitFor();
		await remove.click();
		await until('it is gone from the page', async () => !await remove.count());
		await saveAndApply(page);
		await until('the section gone', async () => !/^config protect/m.test(site.config()), 20000);
		await new Promise(resolve => setTimeout(resolve, site.applies));
	},

	async 'trim, from a phone'(site, page) {
		await page.setViewportSize({ width: 360, height: 640 });
		for (const only of [ '', 'closing', 'unreplied', 'idle' ]) {
			site.fill(0.8);
			await site.open(page, 'emergency', 'root');
			await page.getByLabel('What to trim').selectOption(only);
			const before = site.count();
			await goThrough(page, button(page, 'Trim…'), 'Trim', async words => assert(/would be removed/.test(words), words));
			assert(site.count() < before - 5, only + ': nothing was removed');
			assert(site.count() > 20, only + ': all was removed');
		}
	},

	async 'flush says what it would do, can be cancelled, and does it'(site, page) {
		site.fill(0.5);
		await site.open(page, 'emergency', 'root');
		const before = site.count();
		await button(page, 'Flush…').click();
		const cancel = dialog(page).getByRole('button', { name: 'Cancel', exact: true });
		await cancel.waitFor();
		await cancel.click();
		assert(site.count() >= before - 50, 'a cancelled flush did something');
		const said = await goThrough(page, button(page, 'Flush…'), 'Flush');
		assert(site.count() < before / 10, `${site.count()} of ${before} are left`);
		assert(/as read back/.test(said.after), said.after);
	},

	async 'open for five minutes, counted down, and closed'(site, page) {
		site.fill(0.3);
		await site.open(page, 'emergency', 'root');
		await page.getByLabel('Minutes').selectOption('5');
		// The ports of the router may be let in by the lifeline already: this has a set of its own.
		await page.getByLabel('What to open').selectOption('lan');
		assert(!site.opened(), 'it is open before');
		const said = await goThrough(page, button(page, 'Open…'), 'Open', async words => assert(/Lets in for 5 minutes/.test(words), words));
		assert(/Open:/.test(said.after), said.after);
		await until('a lease in the kernel', async () => site.opened());
		const timer = async () => (await page.getByRole('timer').innerText()).split(':').reduce((m, s) => m * 60 + +s, 0);
		const first = await timer();
		assert(first > 280 && first <= 300, 'it says ' + first + ' s');
		await until('it counts down', async () => await timer() <= first - 2);
		await goThrough(page, button(page, 'Close…'), 'Close');
		await until('closed in the kernel', async () => !site.opened());
		await until('closed on the page', async () => !await page.getByRole('timer').count());
	},

	async 'close ends slowing down too'(site, page) {
		await site.open(page, 'emergency', 'root');
		const said = await goThrough(page, button(page, 'Close…'), 'Close');
		assert(/Closed/.test(said.after), said.after);
		await until('no lease is left', async () => !site.shed(site.hog) && !site.shed('198.51.100.53'));
	},

	async 'open to everybody is refused where the settings do not allow it, with the reason'(site, page) {
		// LuCI's own way drops what is said beside a status.
		for (const [ rpc, words ] of site.ways) {
			await site.open(page, 'emergency', 'root', { rpc });
			await page.getByLabel('What to open').selectOption('all');
			await button(page, 'Open…').click();
			await until('a refusal by ' + rpc, async () => words.test(await dialog(page).innerText()));
			assert(!await dialog(page).getByRole('button', { name: 'Open', exact: true }).count(), 'it is offered all the same');
			await dialog(page).getByRole('button', { name: 'Close', exact: true }).click();
			assert(!site.opened(), 'it is open');
			const code = await site.raw(page, 'ctwarden', 'open', { scope: 'all', seconds: 60, confirm: true });
			assert(code > 0, 'by hand: ' + code);
			assert(!site.opened(), 'it is open by hand');
		}
	},

	async 'a setting is checked, shown for what it costs, saved and in force'(site, page) {
		await site.open(page, 'settings', 'root');
		const high = field(page, 'main', 'high');
		await high.waitFor();
		await high.fill('7');
		await high.blur();
		const invalid = () => high.evaluate(n => !!n.closest('.cbi-value').querySelector('.cbi-input-invalid') || n.classList.contains('cbi-input-invalid'));
		await until('a bad mark is marked', invalid);
		await button(page, 'Save').click();
		await until('it is not saved', async () => await page.evaluate(() => document.body.classList.contains('modal-overlay-active')));
		await dialog(page).locator('button').first().click();
		assert(!/option high '7'/.test(site.config()), 'a bad value was saved');
		await high.fill('93');
		await high.blur();
		await until('a good one is not', async () => !await invalid());
		const max = field(page, 'sizing', 'max');
		await until('a cost', async () => await page.locator('text=With this the limit is').count());
		await max.fill('20000');
		await max.blur();
		await until('the cost of 20,000', async () => /fixed by the config\s+20,000/.test(await body(page)));
		await max.fill('auto');
		await max.blur();
		await saveAndApply(page);
		await until('it is in the file', async () => /option high '93'/.test(site.config()), 20000);
		await new Promise(resolve => setTimeout(resolve, site.applies));
		await site.open(page, 'overview', 'root');
		await until('it is in force', async () => /relief starts at 93/.test(await body(page)), 15000);
	},

	async 'check and drill'(site, page) {
		await site.open(page, 'settings', 'root');
		await button(page, 'Check').click();
		await until('the check', async () => /no fault/.test(await dialog(page).innerText()));
		await dialog(page).getByRole('button', { name: 'Close', exact: true }).click();
		const before = site.count();
		await button(page, 'Drill').click();
		await until('the drill', async () => /a drill/.test(await dialog(page).innerText()), 15000);
		await dialog(page).getByRole('button', { name: 'Close', exact: true }).click();
		assert(Math.abs(site.count() - before) < before / 10 + 50, 'a drill touched the table');
	},

	async 'dry run: every page says so, and nothing is done'(site, page) {
		await site.open(page, 'settings', 'root');
		const dry = field(page, 'main', 'dry_run');
		await dry.waitFor({ state: 'attached' });
		await dry.setChecked(true, { force: true });
		await saveAndApply(page);
		await until('it is in the file', async () => /option dry_run '1'/.test(site.config()), 20000);
		await new Promise(resolve => setTimeout(resolve, site.applies));
		site.fill(0.5);
		const before = site.count();
		await site.open(page, 'emergency', 'root');
		await until('a word of it', async () => /Dry run/.test(await body(page)));
		const said = await goThrough(page, button(page, 'Flush…'), 'Flush');
		assert(/nothing was changed/.test(said.after) && site.count() >= before - before / 10, said.after);
		await site.open(page, 'settings', 'root');
		await dry.waitFor({ state: 'attached' });
		await dry.setChecked(false, { force: true });
		await saveAndApply(page);
		await until('it is out of the file', async () => !/option dry_run '1'/.test(site.config()), 20000);
		await new Promise(resolve => setTimeout(resolve, site.applies));
	},

	async 'the tile of the status overview'(site, page) {
		site.fill(0.5);
		await site.open(page, 'status', 'root');
		await until('the tile', async () => /Connection Table[\s\S]*(Room for|room for)/.test(await body(page)), 15000);
	},

	async 'host names are text'(site, page) {
		site.fill(0.5);
		await site.open(page, 'top', 'root');
		await until('the hostile name', async () => (await body(page)).includes(site.names[site.hog].slice(0, 8)));
		await site.open(page, 'overview', 'root');
		await until('the page', async () => /Incidents/.test(await body(page)));
		assert(!await page.evaluate(() => window.hurt || document.querySelector('#view img, #view script')), 'a name was taken for markup');
	},

	async 'who may only look sees all and changes nothing'(site, page) {
		site.fill(0.5);
		const before = site.count(), config = site.config();
		for (const view of [ 'overview', 'top', 'emergency', 'settings' ]) {
			await site.open(page, view, 'guest');
			await until(view + ' says so', async () => /change nothing/.test(await body(page)));
			assert(!/not running|No access|That failed|too old/.test(await body(page)), view + ': ' + await body(page));
			const words = [ 'Trim', 'Slow down', 'Protect', 'Trim…', 'Flush…', 'Open…', 'Close…', 'Drill', 'Save', 'Save & Apply', 'Add', 'Reset' ];
			for (const word of words)
				for (const one of await page.locator('#view').getByRole('button', { name: word }).all())
					assert(await one.isDisabled(), `${view}: ${word} can be pressed`);
		}
		for (const [ method, args ] of [ [ 'trim', {} ], [ 'flush', { confirm: true } ], [ 'shed', { key: site.hog } ], [ 'open', { confirm: true } ], [ 'close', {} ], [ 'drill', {} ], [ 'reload', {} ] ]) {
			const code = await site.raw(page, 'ctwarden', method, args);
			assert(code == -32002 || code == 6, `${method} gave ${code}`);
		}
		for (const action of [ 'stop', 'restart', 'disable' ]) {
			const code = await site.raw(page, 'rc', 'init', { name: 'ctwarden', action });
			assert(code == -32002 || code == 6, `rc init ${action} gave ${code}`);
		}
		const code = await site.raw(page, 'uci', 'set', { config: 'ctwarden', section: 'main', values: { high: '50' } });
		assert(code == -32002 || code == 6, `uci set gave ${code}`);
		assert(site.count() >= before - before / 10 && site.config() == config && !site.shed(site.hog) && !site.opened(), 'something was changed');
		assert(await site.raw(page, 'ctwarden', 'status', {}) == 0, 'status is not readable');
	},

	async 'a daemon that does not run: every page says so, and it can be started'(site, page) {
		await site.stop();
		for (const view of [ 'overview', 'top', 'emergency', 'settings', 'status' ]) {
			await site.open(page, view, 'root');
			await until(view, async () => /is not running/.test(await body(page)), 15000);
			assert(!await page.locator('.error-stack, .alert-message.danger pre').count(), view + ' shows an error');
		}
		await site.open(page, 'overview', 'root');
		await button(page, 'Start it').click();
		await until('it runs', async () => /Room for|room for/.test(await body(page)), 20000);
	},

	async 'a daemon that goes and comes while the page is open'(site, page) {
		await site.open(page, 'overview', 'root');
		await until('the page', async () => /oom for/.test(await body(page)));
		await site.stop();
		await until('it is gone', async () => /is not running/.test(await body(page)), 15000);
		await site.start();
		await until('it is back', async () => /oom for/.test(await body(page)), 20000);
	},

	async 'by keyboard alone'(site, page) {
		site.fill(0.5);
		await site.open(page, 'emergency', 'root');
		await button(page, 'Flush…').waitFor();
		const focus = () => page.evaluate(() => document.activeElement.textContent.trim());
		for (let i = 0; i < 60 && await focus() != 'Flush…'; i++)
			await page.keyboard.press('Tab');
		assert(await focus() == 'Flush…', 'Tab does not get to Flush');
		assert(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle != 'none' || getComputedStyle(document.activeElement).boxShadow != 'none'), 'the focus cannot be seen');
		const before = site.count();
		await page.keyboard.press('Enter');
		await until('the focus is on Cancel', async () => await focus() == 'Cancel');
		await page.keyboard.press('Escape');
		await until('the dialog is gone, and the focus where it was', async () => await focus() == 'Flush…');
		assert(site.count() >= before - 50, 'Escape flushed');
		await page.keyboard.press('Enter');
		await dialog(page).getByRole('button', { name: 'Flush', exact: true }).waitFor();
		await until('Cancel again', async () => await focus() == 'Cancel');
		await page.keyboard.press('Tab');
		assert(await focus() == 'Flush', 'Tab does not get to the answer');
		await page.keyboard.press('Enter');
		await until('it is flushed', async () => site.count() < before / 10);
		await until('the focus is on Close', async () => await focus() == 'Close');
		await page.keyboard.press('Enter');
		await until('and back', async () => await focus() == 'Flush…');
	},

	async 'by keyboard alone, on the other pages'(site, page) {
		site.fill(0.5);
		const at = () => page.evaluate(() => { const n = document.activeElement; return n.dataset.id || n.id || n.textContent.trim(); });
		const go = async name => {
			for (let i = 0; i < 200 && await at() != name; i++)
				await page.keyboard.press('Tab');
			assert(await at() == name, 'Tab does not get to ' + name);
			assert(await page.evaluate(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle != 'none' || s.boxShadow != 'none'; }), 'the focus cannot be seen on ' + name);
		};
		await site.open(page, 'overview', 'root');
		await button(page, '24 hours').waitFor();
		await go('24 hours');
		await page.keyboard.press('Enter');
		await until('the day', async () => /24 hours ago|Nothing has been recorded/.test(await body(page)));

		await site.open(page, 'top', 'root');
		await button(page, 'States').waitFor();
		await go('States');
		await page.keyboard.press('Space');
		await page.locator('[data-id="trim unreplied"]').waitFor();
		const before = site.count();
		await go('trim unreplied');
		await page.keyboard.press('Enter');
		await dialog(page).getByRole('button', { name: 'Remove them', exact: true }).waitFor();
		await until('the focus is on Cancel', async () => await at() == 'Cancel');
		await page.keyboard.press('Tab');
		assert(await at() == 'Remove them', 'Tab does not get to the answer, but to ' + await at());
		await page.keyboard.press('Enter');
		await until('they are gone', async () => site.count() < before - 5);
		await until('the focus is on Close', async () => await at() == 'Close');
		await page.keyboard.press('Enter');
		await until('the dialog is gone', async () => !await page.evaluate(() => document.body.classList.contains('modal-overlay-active')));
		await go('ctw-live');
		await page.keyboard.press('Space');
		assert(await page.getByLabel('Refresh every').isChecked(), 'the box is not checked');

		await site.open(page, 'settings', 'root');
		const high = field(page, 'main', 'high');
		await high.waitFor();
		await go(await high.getAttribute('id'));
		const found = await high.inputValue();
		const invalid = () => high.evaluate(n => !!n.closest('.cbi-value').querySelector('.cbi-input-invalid'));
		for (const [ value, bad ] of [ [ '7', true ], [ found, false ] ]) {
			await page.keyboard.press('Control+a');
			await page.keyboard.type(value);
			await page.keyboard.press('Tab');
			await until(value + (bad ? ' is marked' : ' is not'), async () => await invalid() == bad);
			await page.keyboard.press('Shift+Tab');
		}
		await go('Check');
		await page.keyboard.press('Enter');
		await until('the check', async () => /no fault/.test(await dialog(page).innerText()));
		await until('the focus is on Close', async () => await at() == 'Close');
		await page.keyboard.press('Escape');
		await until('and back', async () => await at() == 'Check');
	},

	async '360 pixels wide, light and dark'(site, page) {
		site.fill(0.5);
		await page.setViewportSize({ width: 360, height: 640 });
		for (const dark of [ false, true ])
			for (const view of [ 'overview', 'top', 'states', 'destinations', 'emergency', 'flush', 'settings' ]) {
				// A tab, or a dialog, of a page.
				const [ of, press ] = { states: [ 'top', 'States' ], destinations: [ 'top', 'Destinations' ], flush: [ 'emergency', 'Flush…' ] }[view] || [ view ];
				await site.open(page, of, 'root', { dark });
				if (press)
					await button(page, press).click();
				if (view == 'flush')
					await dialog(page).getByRole('button', { name: 'Flush', exact: true }).waitFor();
				await page.waitForTimeout(1200);
				const over = await page.evaluate(() => [ ...document.querySelectorAll('#view *, #modal_overlay .modal *') ].filter(n => {
					const r = n.getBoundingClientRect();
					return r.width > 0 && r.right > innerWidth + 1 && !n.closest('svg') && getComputedStyle(n).visibility == 'visible';
				}).map(n => n.tagName + '.' + n.className + ' ' + n.textContent.slice(0, 30)).slice(0, 3));
				assert(!over.length, `${view} is wider than the screen: ${over.join('; ')}`);
				// Text against what it stands on, by WCAG's formula. (Alerts are in colours of the theme.)
				const pale = await page.evaluate(() => {
					const parts = c => c.match(/[\d.]+/g).map(Number);
					const light = ([ r, g, b ]) => [ r, g, b ].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [ 0.2126, 0.7152, 0.0722 ][i], 0);
					const under = n => { for (; n; n = n.parentElement) { const c = parts(getComputedStyle(n).backgroundColor); if (c.length < 4 || c[3] > 0.9) return c; } return [ 255, 255, 255 ]; };
					return [ ...document.querySelectorAll('.ctw p, .ctw h2, .ctw h3, .ctw h4, .ctw td, .ctw .ctw-sub, .ctw .ctw-axis, .ctw-ask p, .ctw-ask li') ].filter(n => n.textContent.trim() && !n.closest('.alert-message') && n.getBoundingClientRect().height).map(n => {
						const a = light(parts(getComputedStyle(n).color)), b = light(under(n));
						return [ (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), n.className + ' ' + n.textContent.slice(0, 30) ];
					}).filter(x => x[0] < 4.5).slice(0, 3).map(x => x.join(' '));
				});
				assert(!pale.length, `${view}, ${dark ? 'dark' : 'light'}: ${pale.join('; ')}`);
			}
	}
};
