'use strict';
'require view';
'require dom';
'require poll';
'require ctwarden as ctw';

return view.extend({
	handleSaveApply: null,
	handleSave: null,
	handleReset: null,

	load: function() {
		return ctw.readStatus().catch(e => ({ trouble: e }));
	},

	trim: function(ev) {
		const only = this.only.value || undefined;

		return ctw.confirm(ev, {
			title: _('Trim'),
			ask: () => ctw.trim(undefined, only, true),
			tell: answer => [
				E([], ctw.would(answer)),
				ctw.p(_('Their programs have to connect again. Protected connections stay, the firewall stays closed.'))
			],
			go: _('Trim'),
			act: () => ctw.trim(undefined, only),
			told: answer => ctw.did(answer)
		}).then(() => { this.look(); });
	},

	flush: function(ev) {
		return ctw.confirm(ev, {
			title: _('Flush'),
			ask: () => ctw.flush(undefined, true),
			tell: answer => [
				E([], ctw.would(answer)),
				ctw.p(_('Every connection through the router has to find its way again: calls drop, downloads may stop, and so may this page for a moment. Protected connections stay, the firewall stays closed.'))
			],
			go: _('Flush'),
			act: () => ctw.flush(true),
			told: answer => ctw.did(answer)
		}).then(() => { this.look(); });
	},

	open: function(ev) {
		const scope = this.scope.value, minutes = this.minutes.value;

		return ctw.confirm(ev, {
			title: _('Open'),
			ask: () => ctw.open(scope, minutes * 60, undefined, true),
			tell: answer => [
				ctw.bold(_('Lets in for %d minutes: %s.').format(minutes, ctw.scopeName(scope))),
				scope == 'all' ? ctw.alert('error', [ _('Strangers get in, as if there were no firewall.') ]) : '',
				ctw.p(_('To make room, the table is trimmed first.')),
				E([], ctw.would(answer)),
				ctw.p(_('The kernel closes it again within 30 seconds should ctwarden be gone.'))
			],
			go: _('Open'),
			act: () => ctw.open(scope, minutes * 60, true),
			told: w => [
				w && w.open
					? ctw.bold(_('Open: %s, for another %s.').format(ctw.scopeName(w.open.scope), ctw.span(w.open.left)))
					: ctw.p(_('Dry run is on in the settings: nothing was changed.')),
				w && w.open ? ctw.p(ctw.say(w.open.impossible)) : ''
			]
		}).then(() => { this.look(); });
	},

	close: function(ev) {
		return ctw.confirm(ev, {
			title: _('Close'),
			ask: () => ctw.readStatus(),
			tell: s => [
				ctw.p(s.windows.open
					? _('Ends at once: open for %s.').format(ctw.scopeName(s.windows.open.scope))
					: _('Nothing is open.')),
				ctw.p(_('Hosts and destinations that are no longer slowed down: %s.').format(ctw.n(s.windows.shedding)))
			],
			go: _('Close'),
			style: 'apply',
			act: () => ctw.close(),
			told: w => [ ctw.p(w && (w.open || w.shedding)
				? _('Still open or slowed down: see below.')
				: _('Closed. Nothing is open and nobody is slowed down.')) ]
		}).then(() => { this.look(); });
	},

	look: function() {
		return this.load().then(s => this.update(s));
	},

	/* What runs, counted down between the looks. */
	tick: function() {
		const w = this.windows;

		if (!w)
			return;
		const left = w.open ? Math.max(0, w.open.left - (Date.now() - this.at)) : 0;
		dom.content(this.lease, w.open
			? [ ctw.alert('warning', [
				E('h4', {}, [ _('Open: %s').format(ctw.scopeName(w.open.scope)) ]),
				ctw.p(_('Closes by itself in'), ' ', E('strong', { 'role': 'timer' }, [ '%02d:%02d'.format(Math.floor(left / 60000), Math.floor(left / 1000) % 60) ])),
				ctw.p(ctw.say(w.open.impossible))
			]) ]
			: []);
	},

	update: function(s) {
		if (s.trouble) {
			this.windows = null;
			dom.content(this.lease, []);
			dom.content(this.lead, [ ctw.trouble(s.trouble) ]);
			this.cards.style.display = 'none';
			return;
		}
		this.at = Date.now();
		this.windows = s.windows;
		this.cards.style.display = '';
		dom.content(this.lead, [
			ctw.dryRun(s),
			ctw.bold(ctw.verdict(s)),
			ctw.meter(s),
			s.windows.shedding ? ctw.p(_('Slowed down: %s.').format(ctw.n(s.windows.shedding))) : ''
		]);
		dom.content(this.budget, [ _('%d of %d flushes in the last hour.').format(s.flushes, s.flushes_per_hour) ]);
		const no = s.windows.ready ? null : (s.windows.backend == 'none'
			? _('Not possible here: no firewall was found that it could open.')
			: _('Not possible at the moment: its rules are not in place.'));
		dom.content(this.rules, [ no || _('By %s.').format(s.windows.backend) ]);
		this.openButton.disabled = !!no || !ctw.may();
		this.tick();
	},

	card: function(title, text, children) {
		return E('div', {}, [ E('h4', {}, [ title ]), ctw.p(text), E([], children) ]);
	},

	choice: function(label, values) {
		return E('select', { 'class': 'cbi-input-select', 'aria-label': label }, values.map(v => E('option', { 'value': v[0] }, [ v[1] ])));
	},

	render: function(s) {
		this.lead = E('div', {});
		this.lease = E('div', {});
		this.budget = E('p', { 'class': 'ctw-sub' });
		this.rules = E('p', { 'class': 'ctw-sub' });
		this.only = this.choice(_('What to trim'), [
			[ '', _('down to the low mark, as ctwarden would') ],
			[ 'closing', _('what is over') ],
			[ 'unreplied', _('what was never answered') ],
			[ 'idle', _('what is idle for a minute or more') ]
		]);
		this.scope = this.choice(_('What to open'), [
			[ 'router', _('LAN to the router') ], [ 'lan', _('and IPv6 TCP of the LAN') ], [ 'all', _('everything, for everybody') ]
		]);
		this.minutes = ctw.minutes(10);
		this.openButton = ctw.acting(_('Open…'), 'negative important', ev => this.open(ev));
		this.cards = E('div', { 'class': 'ctw-cards' }, [
			this.card(_('Trim'), _('Removes the connections that are missed least.'), [
				this.only, ctw.acting(_('Trim…'), 'action important', ev => this.trim(ev)) ]),
			this.card(_('Flush'), _('Empties the table. The firewall stays closed.'), [
				this.budget, ctw.acting(_('Flush…'), 'negative important', ev => this.flush(ev)) ]),
			this.card(_('Open'), _('Lets in past a full table, for a time that the kernel ends by itself.'), [
				this.scope, this.minutes, this.rules, this.openButton ]),
			this.card(_('Close'), _('Ends what is open, and slows nobody down any longer.'), [
				ctw.acting(_('Close…'), 'apply important', ev => this.close(ev)) ])
		]);
		poll.add(() => this.look(), 3);
		window.setInterval(() => this.tick(), 1000);
		this.update(s);
		return ctw.page(_('Emergency'), _('Each button first says what it would do, and to whom.'), [ this.lead, this.lease, this.cards ]);
	}
});
