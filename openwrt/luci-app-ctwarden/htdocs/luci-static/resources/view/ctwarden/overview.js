'use strict';
'require view';
'require dom';
'require poll';
'require ctwarden as ctw';

/* Seconds that a chart shows, by the name that the daemon has for it. */
const SPANS = { '5m': 300, '24h': 86400 };

function svg(name, attributes) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);

	Object.keys(attributes).forEach(key => node.setAttribute(key, attributes[key]));
	return node;
}

return view.extend({
	handleSaveApply: null,
	handleSave: null,
	handleReset: null,

	load: function() {
		this.span = '5m';
		this.charts = {};
		this.known = {};
		return this.ask();
	},

	/* One look: how it is, and what is new in the chart that is shown. Never rejects. */
	ask: function() {
		const span = this.span, chart = this.charts[span];

		return Promise.all([
			ctw.readStatus().catch(e => ({ trouble: e })),
			ctw.history(span, chart ? chart.next : undefined).catch(e => ({ trouble: e }))
		]).then(answers => {
			this.take(span, answers[1]);
			return answers[0];
		});
	},

	/* Joins what is new to what is there. */
	take: function(span, h) {
		let chart = this.charts[span];

		/* One that is gone has forgotten it, and so has one that was started again: it is asked for all of it next time. */
		if (h.trouble || !Array.isArray(h.count) || (chart && h.next < chart.next)) {
			delete this.charts[span];
			return;
		}
		if (!chart || h.first > chart.next || h.step != chart.step)
			chart = this.charts[span] = { points: [], next: h.first };
		h.count.forEach((count, i) => {
			if (h.first + i >= chart.next)
				chart.points.push({ at: h.first + i, count: count, max: h.max[i], refused: h.refused[i], rungs: h.rungs[i] });
		});
		chart.next = h.next;
		chart.step = h.step;
		chart.high = h.high;
		chart.low = h.low;
		const most = Math.ceil(SPANS[span] / (h.step || 1));
		if (chart.points.length > most)
			chart.points.splice(0, chart.points.length - most);
	},

	/* Refusals a second in the last seconds. */
	rate: function() {
		const chart = this.charts['5m'];

		if (!chart || !chart.points.length)
			return 0;
		const last = chart.points.slice(-Math.max(1, Math.round(5 / chart.step)));
		return Math.round(last.reduce((sum, p) => sum + p.refused, 0) / (last.length * chart.step));
	},

	drawChart: function() {
		const chart = this.charts[this.span], seconds = SPANS[this.span];

		if (!chart || !chart.points.length)
			return [ E('p', { 'class': 'ctw-sub' }, [ _('Nothing has been recorded yet.') ]) ];

		const slots = Math.ceil(seconds / chart.step), end = chart.next, points = chart.points;
		const x = at => 1000 - (end - at - 0.5) * 1000 / slots;
		const part = p => p.max > 0 ? Math.min(1000, Math.floor(p.count * 1000 / p.max)) : 0;
		const worst = points.reduce((most, p) => Math.max(most, p.refused), 0);
		const total = points.reduce((sum, p) => sum + p.refused, 0);
		const peak = points.reduce((most, p) => Math.max(most, part(p)), 0);
		/* Where nothing could be read there is a gap. */
		const runs = [ [] ];
		const thin = { 'vector-effect': 'non-scaling-stroke', 'fill': 'none' };
		const label = _('Occupancy: now %s, at most %s. Refused: %s packets.').format(
			ctw.percent(part(points[points.length - 1])), ctw.percent(peak), ctw.n(total));
		const flags = [];

		points.forEach(p => {
			if (p.max > 0)
				runs[runs.length - 1].push(p);
			else if (runs[runs.length - 1].length)
				runs.push([]);
		});
		let before = 0, free = -1;

		const picture = svg('svg', { 'viewBox': '0 0 1000 1000', 'preserveAspectRatio': 'none', 'role': 'img', 'aria-label': label });
		runs.filter(run => run.length).forEach(run => {
			const line = run.map(p => x(p.at).toFixed(1) + ',' + (1000 - part(p)).toFixed(0)).join(' ');

			picture.appendChild(svg('polygon', { 'points': x(run[0].at).toFixed(1) + ',1000 ' + line + ' ' + x(run[run.length - 1].at).toFixed(1) + ',1000', 'fill': '#3b82c4', 'fill-opacity': '0.35' }));
			picture.appendChild(svg('polyline', Object.assign({ 'points': line, 'stroke': '#3b82c4', 'stroke-width': '2' }, thin)));
		});
		[ chart.high, chart.low ].forEach(mark => {
			if (mark > 0)
				picture.appendChild(svg('line', Object.assign({ 'x1': 0, 'x2': 1000, 'y1': 1000 - mark, 'y2': 1000 - mark, 'stroke': 'currentColor', 'stroke-dasharray': '4 4', 'stroke-opacity': '0.6' }, thin)));
		});
		const bars = points.filter(p => p.refused > 0).map(p => 'M' + x(p.at).toFixed(1) + ' 1000V' + (1000 - Math.max(40, p.refused * 500 / worst)).toFixed(0)).join('');
		if (bars)
			picture.appendChild(svg('path', Object.assign({ 'd': bars, 'stroke': '#d9362b', 'stroke-width': '3' }, thin)));
		points.forEach(p => {
			const fresh = p.rungs & ~before;

			before = p.rungs;
			if (!fresh)
				return;
			const names = ctw.RUNGS.filter((rung, bit) => fresh & (1 << bit));
			picture.appendChild(svg('line', Object.assign({ 'x1': x(p.at), 'x2': x(p.at), 'y1': 0, 'y2': 1000, 'stroke': 'currentColor', 'stroke-opacity': '0.7' }, thin)));
			/* Flags that would stand on one another: the line says it. */
			if (x(p.at) >= free) {
				free = x(p.at) + 120;
				flags.push(E('span', { 'class': 'flag', 'style': 'left:' + Math.min(94, Math.max(6, x(p.at) / 10)) + '%' }, [ names.map(rung => ctw.rungName(rung)).join(', ') ]));
			}
		});

		return [
			E('div', { 'class': 'ctw-chart' }, [
				picture,
				E([], flags),
				E('span', { 'class': 'mark', 'style': 'top:' + (100 - chart.high / 10) + '%' }, [ _('relief starts at %s').format(ctw.percent(chart.high)) ]),
				E('span', { 'class': 'mark', 'style': 'top:' + (100 - chart.low / 10) + '%' }, [ _('and stops at %s').format(ctw.percent(chart.low)) ])
			]),
			E('div', { 'class': 'ctw-axis' }, [
				E('span', {}, [ this.span == '5m' ? _('5 minutes ago') : _('24 hours ago') ]),
				E('span', {}, [ _('now') ])
			]),
			E('p', { 'class': 'ctw-sub' }, [ label + (total ? ' ' + _('Refusals are the red bars; the highest is %s a second.').format(ctw.n(Math.round(worst / chart.step))) : '') ])
		];
	},

	/* What is being done, and what may be. */
	drawFacts: function(s) {
		const w = s.windows, unusable = L.toArray(s.unusable);

		return ctw.facts([
			[ _('Verdict'), _('%s for %s').format(ctw.verdictName(s.verdict), ctw.span(s.uptime - s.since)) ],
			[ _('Hash slots'), s.table.buckets ? ctw.n(s.table.buckets) : null ],
			[ _('Refused since it was last calm'), ctw.n(s.refused) ],
			[ _('Grows by, a second'), s.fill_rate ? ctw.n(s.fill_rate) : null ],
			[ _('Limit before ctwarden raised it'), s.max_before ? ctw.n(s.max_before) : null ],
			[ _('What it may do'), L.toArray(s.ladder).map(rung => ctw.rungName(rung) + (unusable.indexOf(rung) < 0 ? '' : ' ' + _('(not possible here)'))).join(', ') || _('watch only') ],
			[ _('Flushes in the last hour'), _('%d of %d').format(s.flushes, s.flushes_per_hour) ],
			[ _('Emergency rules'), w.ready ? _('ready, by %s').format(w.backend) : _('none') ],
			[ _('Way to the router when the table is full'), ctw.say(w.lifeline) ],
			[ _('Open'), w.open ? _('%s, for another %s').format(ctw.scopeName(w.open.scope), ctw.span(w.open.left)) : null ],
			[ _('Slowed down'), w.shedding ? ctw.n(w.shedding) : null ],
			[ _('Kernel log'), s.log_readable ? null : _('cannot be read') ],
			[ _('Daemon'), _('version %s, running for %s').format(s.version, ctw.span(s.uptime)) ]
		]);
	},

	/* What was done in an incident. */
	deeds: function(i) {
		const deeds = [
			i.grows ? _('raised the limit %s times').format(ctw.n(i.grows)) : null,
			i.trims ? _('trimmed %s times').format(ctw.n(i.trims)) : null,
			i.evicted ? _('removed %s connections').format(ctw.n(i.evicted)) : null,
			i.sheds ? _('slowed down %s').format(ctw.n(i.sheds)) : null,
			i.flushes ? _('flushed %s times').format(ctw.n(i.flushes)) : null,
			i.opens ? _('opened %s times').format(ctw.n(i.opens)) : null
		].filter(deed => deed);

		return deeds.join(', ') || _('nothing');
	},

	drawIncidents: function(list, asked, s) {
		const date = at => new Date(Date.now() - (s.uptime - at)).toLocaleString(document.documentElement.lang || undefined);
		const culprits = all => L.toArray(all).map(c => E('div', {}, [ E([], ctw.who(c.key, this.known)), ' ' + ctw.percent(c.share / 10) ]));

		return [ ctw.table(
			[ _('Began'), _('Lasted'), _('At worst'), _('Refused'), _('Who held it'), _('Where to'), _('What was done') ],
			list.slice().reverse().map(i => [
				date(i.began),
				i.ended == null ? _('goes on') : ctw.span(i.ended - i.began),
				ctw.verdictName(i.worst) + ' ' + _('(%s of %s)').format(ctw.n(i.peak), ctw.n(i.max)),
				ctw.n(i.refused),
				culprits(i.sources),
				culprits(i.destinations),
				this.deeds(i)
			]),
			_('Nothing has happened since ctwarden was started.')),
		asked.length ? ctw.table([ _('When'), _('What was asked for'), _('Who asked') ], asked.slice().reverse().map(a => [ date(a.at), String(a.what), String(a.who) ]), '') : '' ];
	},

	/* Puts a look into the page. */
	update: function(s) {
		if (s.trouble) {
			dom.content(this.lead, [ ctw.trouble(s.trouble) ]);
			this.body.style.display = 'none';
			this.seen = null;
			return;
		}
		const chart = this.charts[this.span];
		const kind = { calm: 'success', filling: 'warning', saturated: 'error' }[ctw.mood(s)] || 'notice';

		this.body.style.display = '';
		dom.content(this.lead, [
			ctw.dryRun(s),
			ctw.alert(kind, [ E('h4', { 'id': 'ctw-verdict' }, [ ctw.verdict(s, this.rate()) ]) ]),
			ctw.meter(s, chart ? [ chart.low, chart.high ] : [])
		]);
		dom.content(this.chart, this.drawChart());
		dom.content(this.facts, [ this.drawFacts(s) ]);

		/* The list is asked for only when there is something new in it. */
		const i = s.incident || {}, seen = [ s.pid, s.flushes, s.windows.shedding, !!s.windows.open, i.number, i.ended, i.trims, i.grows, i.sheds, i.opens ].join();
		if (seen != this.seen) {
			this.seen = seen;
			return this.listIncidents(s);
		}
	},

	listIncidents: function(s) {
		return ctw.incidents().then(
			answer => dom.content(this.incidents, this.drawIncidents(L.toArray(answer.incidents), L.toArray(answer.asked), s)),
			err => {
				this.seen = null;
				dom.content(this.incidents, [ ctw.sorry(err) ]);
			});
	},

	choose: function(span) {
		this.span = span;
		this.tabs.forEach(tab => tab.setAttribute('aria-pressed', tab.value == span));
		return this.look();
	},

	look: function() {
		return this.ask().then(s => this.update(s));
	},

	render: function(s) {
		this.lead = E('div', {});
		this.chart = E('div', {});
		this.facts = E('div', {});
		this.incidents = E('div', {});
		this.size = E('div', {}, [ E('p', { 'class': 'spinning' }, [ _('Asking…') ]) ]);
		this.tabs = [ [ '5m', _('5 minutes') ], [ '24h', _('24 hours') ] ].map(tab =>
			ctw.button(tab[1], 'neutral', () => this.choose(tab[0]), { 'value': tab[0], 'aria-pressed': tab[0] == this.span }));
		this.body = E('div', {}, [
			ctw.section(_('What happened'), [ E('div', { 'class': 'ctw-row' }, this.tabs), this.chart ]),
			ctw.section(_('Now'), [ this.facts ]),
			ctw.section(_('Incidents'), [ this.incidents ]),
			ctw.section(_('Why this limit'), [ this.size ])
		]);

		poll.add(() => this.look(), 3);
		/* Not waited for: the page is there without them. */
		ctw.size().then(plan => dom.content(this.size, ctw.plan(_('The limit should be %s here. A table that is full of so many connections takes %s of memory.'), plan)), err => dom.content(this.size, [ ctw.sorry(err) ]));
		ctw.hosts().then(known => {
			this.known = known;
			this.seen = null;
		});
		this.update(s);
		return ctw.page(_('Connection Table'), _('The kernel keeps an entry for every connection through the router, up to a limit. When the table is full, new connections are refused. ctwarden makes room before that.'), [ this.lead, this.body ]);
	}
});
