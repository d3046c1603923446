'use strict';
'require view';
'require dom';
'require poll';
'require uci';
'require ui';
'require ctwarden as ctw';

/* A refresh reads a sample of the table: not more often than this, in seconds. */
const EVERY = 10;

return view.extend({
	handleSaveApply: null,
	handleSave: null,
	handleReset: null,

	load: function() {
		this.by = 'source';
		this.known = {};
		return this.ask(false);
	},

	ask: function(exact) {
		return ctw.top(this.by, 20, exact).catch(e => ({ trouble: e }));
	},

	/* What a connection is protected by, from a row's key. */
	protection: function(key) {
		const to = String(key).match(/^\[?([0-9a-f.:]+?)\]?:(\d+)\/(tcp|udp)$/);

		return to ? { destination: to[1], proto: to[3], port: to[2] } : { source: String(key) };
	},

	shed: function(key, ev) {
		const minutes = ctw.minutes(10);

		return ctw.confirm(ev, {
			title: _('Slow down %s').format(key),
			ask: () => ctw.shed(key, 600, true),
			tell: answer => [
				answer && answer.touched >= 0 ? ctw.bold(_('It has %s connections now, which stay.').format(ctw.n(answer.touched))) : '',
				ctw.p(_('New connections are let through at a limited rate: 20 a second for a host, 100 a second for a destination. The kernel ends it by itself.')),
				ctw.p(E('label', {}, [ _('For'), ' ', minutes ]))
			],
			go: _('Slow down'),
			act: () => ctw.shed(key, minutes.value * 60),
			told: answer => [ ctw.p(answer && answer.dry_run ? _('Dry run is on in the settings: nothing was changed.') : _('%s is slowed down for %d minutes.').format(key, minutes.value)) ]
		}).then(() => { this.refresh(); });
	},

	trim: function(source, only, title, ev) {
		return ctw.confirm(ev, {
			title: title,
			ask: () => ctw.trim(source, only, true),
			tell: answer => [
				E([], ctw.would(answer)),
				ctw.p(_('They are cut off; programs have to connect again. Protected connections stay.'))
			],
			go: _('Remove them'),
			act: () => ctw.trim(source, only),
			told: answer => ctw.did(answer)
		}).then(() => { this.refresh(); });
	},

	protect: function(key, ev) {
		const rule = this.protection(key);
		const name = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'maxlength': 32 });
		const words = { source: _('from'), destination: _('to'), proto: _('protocol'), port: _('port') };

		return ctw.confirm(ev, {
			title: _('Protect %s').format(key),
			ask: () => uci.load('ctwarden'),
			tell: () => [
				ctw.p(_('These connections are never removed, not even by a flush: %s.').format(
					Object.keys(rule).map(option => words[option] + ' ' + rule[option]).join(', '))),
				ctw.p(E('label', {}, [ _('Name, for reports'), ' ', name ])),
				ctw.p(_('This becomes a part of the settings, and other unsaved changes are applied with it.'))
			],
			go: _('Save & Apply'),
			style: 'apply',
			act: () => {
				const id = uci.add('ctwarden', 'protect');

				if (name.value)
					uci.set('ctwarden', id, 'name', name.value);
				Object.keys(rule).forEach(option => uci.set('ctwarden', id, option, rule[option]));
				return uci.save().then(() => ui.changes.apply(true));
			},
			told: () => [ ctw.p(_('Saved.')) ]
		});
	},

	/* What can be done about a row. */
	actions: function(key) {
		const button = (id, label, style, fn) => ctw.acting(label, style, fn, { 'data-id': id + ' ' + key, 'aria-label': label + ': ' + key });
		const list = [], host = this.by == 'source', flow = /:\d+\/(tcp|udp)$/.test(key);

		if (host)
			list.push(button('trim', _('Trim'), 'remove', ev => this.trim(key.replace(/\/64$/, ''), undefined, _('Trim %s').format(key), ev)));
		if (this.by == 'state' && (key == 'unreplied' || key == 'closing'))
			list.push(button('trim', _('Trim'), 'remove', ev => this.trim(undefined, key, _('Trim %s').format(ctw.say(key)), ev)));
		if (host || flow)
			list.push(button('shed', _('Slow down'), 'action', ev => this.shed(key, ev)));
		if (host || flow || this.by == 'prefix')
			list.push(button('protect', _('Protect'), 'save', ev => this.protect(key, ev)));
		return E('div', { 'class': 'ctw-row' }, list);
	},

	share: function(row) {
		const share = ctw.percent(row.share / 10), error = ctw.percent(row.error / 10);

		return E('div', {}, [
			E('div', { 'class': 'ctw-meter', 'style': 'height:.5em;margin:.2em 0' }, [ E('i', { 'class': 'ctw-filling', 'style': 'width:' + Math.min(100, row.share / 100) + '%' }) ]),
			row.error > 0 ? _('%s ± %s').format(share, error) : share
		]);
	},

	kinds: function(title, rows) {
		return ctw.section(title, [ ctw.table([ title, _('Connections'), _('Share') ], rows.map(row =>
			[ ctw.say(row.key), ctw.n(row.entries), this.share(row) ]), '') ]);
	},

	draw: function(top) {
		if (top.trouble)
			return [ ctw.trouble(top.trouble) ];

		const title = { source: _('Source'), prefix: _('Network'), destination: _('Destination'), state: _('State') }[this.by];
		const idle = L.toArray(top.idle);

		return [
			ctw.section(null, [
				ctw.p(top.exact
					? _('All %s connections were counted.').format(ctw.n(top.count))
					: _('From a random sample of %s of %s connections; ± is one standard error.').format(ctw.n(top.read), ctw.n(top.of))),
				/^[pd]/.test(this.by) ? ctw.p(_('Trim is for a source, Slow down for a source or a destination.')) : '',
				top.interrupted ? ctw.p(_('The table changed while it was read.')) : '',
				ctw.table([ title, _('Connections'), _('Share'), _('Actions') ], L.toArray(top.rows).map(row => [
					this.by == 'state' ? ctw.say(row.key) : ctw.who(row.key, this.known),
					ctw.n(row.entries),
					this.share(row),
					this.actions(row.key)
				]), _('There are no connections.'))
			]),
			this.by == 'state' ? E([], [
				this.kinds(_('Protocol'), L.toArray(top.protocols)),
				this.kinds(_('Idle for at least'), idle),
				ctw.acting(_('Trim what is idle for a minute or more'), 'remove', ev => this.trim(undefined, 'idle', _('Trim idle connections'), ev), { 'data-id': 'trim idle' })
			]) : ''
		];
	},

	/* Draws anew, and leaves the keyboard where it was. */
	show: function(top) {
		const at = document.activeElement && document.activeElement.getAttribute('data-id');

		this.top = top;
		dom.content(this.table, this.draw(top));
		if (at)
			this.table.querySelectorAll('[data-id]').forEach(node => { if (node.getAttribute('data-id') == at) node.focus(); });
	},

	refresh: function(exact) {
		return this.ask(exact).then(top => this.show(top));
	},

	choose: function(by) {
		this.by = by;
		this.tabs.forEach(tab => tab.setAttribute('aria-pressed', tab.value == by));
		return this.refresh();
	},

	render: function(top) {
		const live = E('input', { 'type': 'checkbox', 'id': 'ctw-live' });

		this.table = E('div', {});
		this.tabs = [ [ 'source', _('Sources') ], [ 'prefix', _('Networks') ], [ 'destination', _('Destinations') ], [ 'state', _('States') ] ].map(tab =>
			ctw.button(tab[1], 'neutral', () => this.choose(tab[0]), { 'value': tab[0], 'aria-pressed': tab[0] == this.by }));
		/* Not under an open dialog: what it is about would go from under it. */
		poll.add(() => live.checked && !document.body.classList.contains('modal-overlay-active') ? this.refresh() : Promise.resolve(), EVERY);
		ctw.hosts().then(known => {
			this.known = known;
			this.show(this.top);
		});
		this.show(top);
		return ctw.page(_('Who fills it'), _('The biggest holders of entries in the connection tracking table, from a sample that costs the same at any size.'), [
			E('div', { 'class': 'ctw-row' }, this.tabs),
			E('div', { 'class': 'ctw-row' }, [
				ctw.button(_('Refresh'), 'reload', () => this.refresh()),
				ctw.button(_('Count all'), 'neutral', () => this.refresh(true)),
				E('label', { 'for': 'ctw-live' }, [ live, ' ', _('Refresh every %d seconds').format(EVERY) ])
			]),
			this.table
		]);
	}
});
