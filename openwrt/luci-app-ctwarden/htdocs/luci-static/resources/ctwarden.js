'use strict';
'require baseclass';
'require dom';
'require rpc';
'require ui';

/*
 * What the pages of ctwarden have in common: its calls, its words, and the way a button asks before it acts.
 *
 * Whatever comes from outside (host names, texts of the daemon) is put into the page as a text node, never as markup: the
 * contents given to E() and dom.content() are arrays, since a bare string would be parsed as HTML.
 */

/* Everything rejects: without it a refused call looks like an answer. */
function declare(object, method, params) {
	return rpc.declare({ object: object, method: method, params: params, reject: true });
}

const RUNGS = [ 'grow', 'trim', 'shed', 'flush', 'open', 'stateless', 'unload' ];

const CSS = [
	'.ctw-name,.ctw td,.ctw .td{overflow-wrap:anywhere}',
	'.ctw-sub{opacity:.75;font-size:90%}',
	'.ctw-meter{position:relative;height:1.4em;border:1px solid currentColor;border-radius:3px;overflow:hidden;margin:.5em 0}',
	'.ctw-meter>i{position:absolute;top:0;bottom:0;left:0;opacity:.45;transition:width .3s}',
	'.ctw-meter>b{position:absolute;top:0;bottom:0;width:0;border-left:2px dashed currentColor;opacity:.6}',
	'.ctw-meter>span{position:absolute;left:.5em;line-height:1.3em}',
	'.ctw-calm{background:#2e9e4f}.ctw-filling{background:#e0a100}.ctw-saturated{background:#d9362b}',
	'.ctw-misreported,.ctw-blind{background:#7a7a7a}',
	'.ctw-chart{position:relative;margin:1.6em 0 .2em}',
	'.ctw-chart svg{display:block;width:100%;height:10em;border:1px solid currentColor;border-width:0 0 1px 1px}',
	'.ctw-chart .flag{position:absolute;top:-1.5em;transform:translateX(-50%);font-size:75%;white-space:nowrap}',
	'.ctw-chart .mark{position:absolute;left:.4em;font-size:75%;opacity:.8;transform:translateY(-100%)}',
	'.ctw-axis{display:flex;justify-content:space-between;font-size:80%;opacity:.8}',
	'.ctw-cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,17em),1fr));gap:1em}',
	'.ctw-cards>div{border:1px solid rgba(128,128,128,.5);border-radius:4px;padding:.8em;display:flex;flex-direction:column}',
	'.ctw-cards>div>:last-child{margin-top:auto}',
	'.ctw-cards .btn{width:100%;min-height:2.8em;margin:.3em 0}',
	'.ctw [aria-pressed=true]{font-weight:bold;box-shadow:inset 0 -3px}',
	'.ctw-row button,.ctw-row select{margin:.15em .3em .15em 0}',
	'.ctw select,.ctw-ask select{width:auto;max-width:100%}',
	'.ctw-lines{white-space:pre-wrap;overflow-wrap:anywhere;max-height:60vh;overflow:auto;font-size:85%}',
	'.ctw button:focus-visible,.ctw-ask button:focus-visible{outline:2px solid currentColor;outline-offset:2px}'
].join('');

/* The daemon says why it does not do something, beside the status that LuCI tells of: that is kept, where it gets here. */
rpc.addInterceptor((reply, request) => {
	const result = request.object == 'ctwarden' && L.isObject(reply) ? reply.result : null;

	if (!Array.isArray(result) || !result[0] || !L.isObject(result[1]) || !result[1].error)
		return;
	return Promise.reject(Object.assign(new Error(String(result[0])), { said: String(result[1].error) }));
});

/* The state that a call failed in, by the first number in what LuCI says: its words may be of any language. */
function stateOf(err) {
	const number = +(String((err && err.message) || err).match(/-?\d+/) || [ 0 ])[0];

	switch (number) {
	case -32000: case 4: return 'absent';
	case -32002: return 'denied';
	case -32601: case 3: return 'old';
	case 6: return 'refused';
	case 7: return 'late';
	case 8: return 'unable';
	case 2: return 'invalid';
	}
	return 'failed';
}

return baseclass.extend({
	RUNGS: RUNGS,

	status: declare('ctwarden', 'status'),
	top: declare('ctwarden', 'top', [ 'by', 'n', 'exact' ]),
	size: declare('ctwarden', 'size', [ 'max', 'ram_percent' ]),
	check: declare('ctwarden', 'check'),
	history: declare('ctwarden', 'history', [ 'span', 'since' ]),
	incidents: declare('ctwarden', 'incidents'),
	trim: declare('ctwarden', 'trim', [ 'source', 'only', 'dry_run' ]),
	shed: declare('ctwarden', 'shed', [ 'key', 'seconds', 'dry_run' ]),
	flush: declare('ctwarden', 'flush', [ 'confirm', 'dry_run' ]),
	open: declare('ctwarden', 'open', [ 'scope', 'seconds', 'confirm', 'dry_run' ]),
	close: declare('ctwarden', 'close'),
	drill: declare('ctwarden', 'drill'),

	getLeases: declare('luci-rpc', 'getDHCPLeases'),
	getHints: declare('luci-rpc', 'getHostHints'),
	initAction: declare('rc', 'init', [ 'name', 'action' ]),

	stateOf: stateOf,

	may: function() {
		return L.hasViewPermission() === true;
	},

	/* A number as people write it. */
	n: function(number, options) {
		return Number(number || 0).toLocaleString(document.documentElement.lang || undefined, options);
	},

	percent: function(permille) {
		return this.n(permille / 10, { maximumFractionDigits: 1 }) + ' %';
	},

	/* A time given in milliseconds. */
	span: function(ms) {
		const s = Math.round(ms / 1000);

		if (ms < 1000)
			return _('%d ms').format(Math.round(ms));
		if (s < 120)
			return _('%d s').format(s);
		if (s < 7200)
			return _('%d min').format(Math.round(s / 60));
		if (s < 172800)
			return _('%d h %d min').format(Math.floor(s / 3600), Math.floor(s / 60) % 60);
		return _('%d days').format(Math.floor(s / 86400));
	},

	/* A word or sentence that the daemon says: translated where it is known. */
	say: function(text) {
		return text ? _(text) : '';
	},

	verdictName: function(verdict) {
		return {
			calm: _('Calm'),
			filling: _('Filling'),
			saturated: _('Saturated'),
			misreported: _('Misreported'),
			blind: _('Blind')
		}[verdict] || String(verdict);
	},

	rungName: function(rung) {
		return {
			grow: _('Raise the limit'),
			trim: _('Trim'),
			shed: _('Slow down'),
			flush: _('Flush'),
			open: _('Open'),
			stateless: _('Stateless'),
			unload: _('Unload')
		}[rung] || String(rung);
	},

	scopeName: function(scope) {
		return {
			router: _('the LAN to the router itself'),
			lan: _('the LAN to the router, and TCP that is not translated (IPv6)'),
			all: _('everything, from everywhere')
		}[scope] || String(scope);
	},

	/* How it stands, in a sentence. `rate`: refusals a second of late, where it is known. */
	verdict: function(s, rate) {
		const room = Math.max(0, s.table.max - s.table.count);

		if (s.verdict == 'blind')
			return _('The table cannot be read. Nothing is done; ctwarden keeps trying.');
		if (s.table.max == 0)
			return _('There is no limit on connections.');
		if (s.verdict == 'misreported')
			return _('Packets are refused, though there is room for %s more connections. Nothing is done: another table is full, or a counter lies.').format(this.n(room));
		if (s.full_for > 0 || s.verdict == 'saturated') {
			if (!(rate > 0))
				rate = s.full_for > 0 ? Math.round(s.refused / Math.max(1, s.full_for / 1000)) : 0;
			return _('Full: refusing %s new connections a second for %s').format(this.n(rate), this.span(s.full_for));
		}
		if (s.verdict == 'filling')
			return s.fill_rate > 0
				? _('Filling up: room for %s more connections, enough for %s at this rate').format(this.n(room), this.span(room * 1000 / s.fill_rate))
				: _('Nearly full: room for %s more connections').format(this.n(room));
		return _('Room for %s more connections').format(this.n(room));
	},

	/* How full, with the marks where they are known. */
	meter: function(s, marks) {
		const part = Math.min(1000, s.occupancy) / 10;

		return E('div', {
			'class': 'ctw-meter', 'role': 'meter', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(part),
			'aria-label': _('Occupancy of the table')
		}, [
			E('i', { 'class': 'ctw-' + this.mood(s), 'style': 'width:' + part + '%' }),
			E([], (marks || []).map(mark => E('b', { 'style': 'left:' + mark / 10 + '%' }))),
			E('span', {}, [ _('%s of %s (%s)').format(this.n(s.table.count), this.n(s.table.max), this.percent(s.occupancy)) ])
		]);
	},

	p: function(...children) {
		return E('p', {}, children);
	},

	bold: function(text) {
		return E('p', {}, [ E('strong', {}, [ text ]) ]);
	},

	/* As bad as it is: packets are refused before the verdict says that they have been for long. */
	mood: function(s) {
		return s.full_for > 0 ? 'saturated' : s.verdict;
	},

	alert: function(kind, children) {
		return E('div', { 'class': 'alert-message ' + kind, 'role': 'status' }, children);
	},

	/* A table of rows, each cell with its column's title for narrow screens. */
	table: function(titles, rows, empty) {
		const table = E('table', { 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, [ title ])))
		]);

		rows.forEach(row => table.appendChild(E('tr', { 'class': 'tr' }, row.map((cell, i) =>
			E('td', { 'class': 'td', 'data-title': cell === '' ? null : titles[i] }, Array.isArray(cell) ? cell : [ cell ])))));
		if (!rows.length)
			table.appendChild(E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': titles.length }, [ E('em', {}, [ empty ]) ]) ]));
		return table;
	},

	/* Names and values, one below the other. */
	facts: function(pairs) {
		return E('table', { 'class': 'table' }, pairs.filter(pair => pair && pair[1] != null).map(pair =>
			E('tr', { 'class': 'tr' }, [
				E('td', { 'class': 'td left', 'width': '33%' }, [ pair[0] ]),
				E('td', { 'class': 'td left' }, Array.isArray(pair[1]) ? pair[1] : [ pair[1] ])
			])));
	},

	button: function(label, style, fn, attributes) {
		return E('button', Object.assign({
			'type': 'button',
			'class': 'btn cbi-button cbi-button-' + style,
			'click': ui.createHandlerFn(this, fn)
		}, attributes), [ label ]);
	},

	/* One that changes something: not for those who may only look. */
	acting: function(label, style, fn, attributes) {
		return this.button(label, style, fn, Object.assign(
			this.may() ? {} : { 'disabled': true, 'title': _('This login may only look.') }, attributes));
	},

	/* What a page consists of around its own content. */
	page: function(title, intro, children) {
		return E('div', { 'class': 'ctw' }, [
			E('style', {}, [ CSS ]),
			E('h2', {}, [ title ]),
			E('div', { 'class': 'cbi-map-descr' }, [ intro ]),
			this.may() ? '' : this.alert('notice', [ _('This login may look at everything here and change nothing.') ]),
			E([], children)
		]);
	},

	section: function(title, children) {
		return E('div', { 'class': 'cbi-section' }, [ title ? E('h3', {}, [ title ]) : '', E([], children) ]);
	},

	/* Why a call failed, in words. */
	why: function(err) {
		if (err && err.said)
			return _('ctwarden does not do that: %s').format(this.say(err.said));
		switch (stateOf(err)) {
		case 'absent': return _('ctwarden is not running.');
		case 'denied': return _('This login has no access to that.');
		case 'old': return _('The ctwarden on this router is older than these pages and does not know how to do that.');
		case 'refused': return _('ctwarden refuses: the budget for that is used up, or it is for the router, a LAN or what the settings protect or forbid.');
		case 'late': return _('ctwarden is busy relieving the table. Try again in a moment.');
		case 'unable': return _('That is not possible here: there is no way to make rules in this firewall, or the kernel cannot do it.');
		case 'invalid': return _('ctwarden does not take that value.');
		}
		return _('That failed: %s').format(String((err && err.message) || err));
	},

	sorry: function(err) {
		return this.alert('warning', [ this.why(err) ]);
	},

	/* Instead of a page's content, when there is nothing to show it from: what is wrong, and what can be done. */
	trouble: function(err) {
		const state = stateOf(err);

		switch (state) {
		case 'absent':
			return this.alert('warning', [
				E('h4', {}, [ _('ctwarden is not running') ]),
				this.p(_('Nothing watches the connection tracking table. It may be switched off in the settings, have a fault in its settings, or not have been started.')),
				E('p', {}, [
					this.acting(_('Start it'), 'action', ev => this.initAction('ctwarden', 'start').then(
						() => ui.addNotification(null, this.p(_('ctwarden was told to start.')), 'info'),
						e => ui.addNotification(null, this.p(_('It could not be started: %s').format(this.why(e))), 'warning')))
				])
			]);
		case 'denied':
			return this.alert('warning', [
				E('h4', {}, [ _('No access') ]),
				this.p(_('This login is not allowed to see how ctwarden is.'))
			]);
		case 'old':
			return this.alert('warning', [
				E('h4', {}, [ _('ctwarden is too old for these pages') ]),
				this.p(_('Install the ctwarden and luci-app-ctwarden packages of one version.'))
			]);
		}
		return this.alert('warning', [ E('h4', {}, [ _('ctwarden does not answer') ]), this.p(this.why(err)) ]);
	},

	/* A status that these pages can show; else it is of an older daemon. */
	readStatus: function() {
		return this.status().then(s => {
			if (!L.isObject(s) || !L.isObject(s.table) || !L.isObject(s.windows))
				throw new Error('3');
			return s;
		});
	},

	/*
	 * Asks before it acts: first `ask` what would happen (a promise), which `tell` puts into nodes, then `go` is offered,
	 * `act` is done and `told` says what came of it, as read back. The promise is kept when the dialog is closed.
	 */
	confirm: function(ev, what) {
		const opener = ev && ev.currentTarget;

		return new Promise(resolve => {
			const show = (children, buttons) => {
				const dialog = ui.showModal([ what.title ], E('div', { 'class': 'ctw-ask' }, [
					E([], children),
					buttons ? E('div', { 'class': 'right ctw-row' }, buttons) : ''
				]));
				const first = dialog.querySelector('.right > button');
				if (first)
					first.focus();
			};
			let open = true;
			const close = () => {
				open = false;
				ui.hideModal();
				resolve();
				/* The handler that waits for us frees the button first. */
				window.setTimeout(() => { if (opener && opener.isConnected) opener.focus(); }, 50);
			};
			const closing = label => E('button', { 'type': 'button', 'class': 'btn cbi-button', 'click': close }, [ label ]);
			const failed = err => open && show([ this.sorry(err) ], [ closing(_('Close')) ]);
			const wait = (text, out) => show([ E('p', { 'class': 'spinning', 'role': 'status' }, [ text ]) ], [ closing(out) ]);

			wait(_('Asking ctwarden what that would do…'), _('Cancel'));
			Promise.resolve(what.ask()).then(answer => open && show(what.tell(answer), !what.go ? [ closing(_('Close')) ] : [
				closing(_('Cancel')), ' ',
				this.acting(what.go, what.style || 'negative', () => {
					/* What was chosen in the dialog is read before it goes. */
					const acts = Promise.resolve(what.act());

					wait(_('Working…'), _('Close'));
					return acts.then(result => open && show([ this.alert('success', what.told(result)) ], [ closing(_('Close')) ]), failed);
				})
			])).catch(failed);
		});
	},

	/* A choice of minutes, for a dialog. */
	minutes: function(chosen) {
		return E('select', { 'class': 'cbi-input-select', 'aria-label': _('Minutes') }, [ 1, 5, 10, 30, 60, 240 ].map(m =>
			E('option', { 'value': m, 'selected': m == chosen ? true : null }, [ _('%d minutes').format(m) ])));
	},

	/* What a trim or flush would take, or took. */
	stepNames: function() {
		return [
			_('connections that are over'),
			_('what the biggest holders have above their share'),
			_('half-open connections of anyone'),
			_('quiet connections of anyone'),
			_('more of anyone, the longest idle first')
		];
	},

	taken: function(done, words) {
		const names = this.stepNames();

		return [
			this.bold(words.format(this.n(Math.max(0, done.before - done.after)), this.n(done.before))),
			E('ul', {}, (done.steps || []).map((n, i) => n > 0 ? E('li', {}, [ this.n(n) + ' ' + names[i] ]) : ''))
		];
	},

	would: function(done) {
		return this.taken(done, _('%s of %s connections would be removed.'));
	},

	did: function(done) {
		if (done.dry_run)
			return [ this.p(_('Dry run is on in the settings: nothing was changed.')), E([], this.would(done)) ];
		return [
			this.bold(_('%s connections before, %s now, as read back.').format(this.n(done.before), this.n(done.after))),
			this.p(_('It took %s.').format(this.span(done.took)))
		];
	},

	/* What the limit should be, every number explained. `words` take the limit and what it costs. */
	plan: function(words, plan) {
		return [
			this.bold(words.format(this.n(plan.max), '%1024.1mB'.format(plan.cost_kib * 1024))),
			this.table([ _('Step'), _('Value'), _('Why') ], L.toArray(plan.steps).map(step => [ this.say(step.what), step.value, this.say(step.why) ]), '')
		];
	},

	dryRun: function(s) {
		return s.dry_run ? this.alert('notice', [ _('Dry run: ctwarden decides and reports, and changes nothing.') ]) : '';
	},

	/* The router's own knowledge of who is who: address → [{ name, mac }]. An IPv6 /64 has all in it. */
	hosts: function() {
		return Promise.all([
			L.resolveDefault(this.getLeases(), {}),
			L.resolveDefault(this.getHints(), {})
		]).then(answers => {
			const known = {};
			const add = (address, name, mac) => {
				if (!address)
					return;
				address = String(address).split('/')[0].toLowerCase();
				const key = address.indexOf(':') < 0 ? address : this.net64(address);
				const list = known[key] = known[key] || [];
				const same = list.find(h => (mac && h.mac == mac) || (!mac && h.name == name));
				if (same)
					same.name = same.name || name;
				else if (name || mac)
					list.push({ name: name, mac: mac });
			};
			const low = mac => mac ? String(mac).toUpperCase() : null;
			const leases = L.isObject(answers[0]) ? answers[0] : {}, hints = L.isObject(answers[1]) ? answers[1] : {};

			L.toArray(leases.dhcp_leases).forEach(l => add(l.ipaddr, l.hostname, low(l.macaddr)));
			L.toArray(leases.dhcp6_leases).forEach(l => L.toArray(l.ip6addrs || l.ip6addr).forEach(a => add(a, l.hostname, low(l.macaddr))));
			Object.keys(hints).forEach(mac => {
				const hint = hints[mac] || {};
				L.toArray(hint.ipaddrs || hint.ipv4).concat(L.toArray(hint.ip6addrs || hint.ipv6)).forEach(a => add(a, hint.name, low(mac)));
			});
			return known;
		});
	},

	/* The first four groups of an IPv6 address. */
	net64: function(address) {
		const halves = address.split('::'), groups = half => half ? half.split(':') : [];
		const head = groups(halves[0]), tail = groups(halves[1]);

		while (halves.length > 1 && head.length + tail.length < 8)
			head.push('0');
		return head.concat(tail).slice(0, 4).map(g => (parseInt(g, 16) || 0).toString(16)).join(':');
	},

	/* An address, with who it is. Names are whatever a host calls itself: shown as text, without what would reorder it. */
	who: function(key, known) {
		const address = String(key).replace(/\/64$/, '');
		const list = (known && known[address.indexOf(':') < 0 ? address : this.net64(address.replace(/^\[|\].*$/g, ''))]) || [];
		const clean = name => String(name).replace(/[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, '\ufffd');
		const nodes = [ E('span', { 'class': 'ctw-name' }, [ String(key) ]) ];

		list.slice(0, 2).forEach(host => nodes.push(E('div', { 'class': 'ctw-sub ctw-name' }, [
			host.name ? E('bdi', {}, [ clean(host.name) ]) : '', host.name && host.mac ? ' · ' : '', host.mac || ''
		])));
		if (list.length > 2)
			nodes.push(E('div', { 'class': 'ctw-sub' }, [ _('and %d more').format(list.length - 2) ]));
		return nodes;
	}
});
