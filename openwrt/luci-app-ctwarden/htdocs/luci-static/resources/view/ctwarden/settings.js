'use strict';
'require view';
'require form';
'require uci';
'require dom';
'require ui';
'require ctwarden as ctw';

const YES = [ '1', 'on', 'true', 'yes', 'enabled' ];
const SECONDS = { '': 1000, 'ms': 1, 's': 1000, 'm': 60000 };
const MEGABYTES = { '': 1024, 'k': 1, 'K': 1, 'KB': 1, 'M': 1024, 'MB': 1024 };

/* A number with a suffix that the option knows, in what it counts; NaN if it is none. */
function number(value, units) {
	const parts = String(value).trim().match(/^(\d+)\s*(\S*)$/);
	const worth = parts && Object.prototype.hasOwnProperty.call(units, parts[2]) ? units[parts[2]] : NaN;

	return parts ? parts[1] * worth : NaN;
}

/* Checks as `ctwarden check` does. */
function within(least, most, units, also) {
	units = units || { '': 1 };
	return (id, value) => {
		const n = number(value, units), plain = units[''];

		if (value === '' || value == null || (n >= least * plain && n <= most * plain))
			return true;
		return _('a number from %d to %d').format(least, most) + (also ? ' ' + also : '');
	};
}

function bytes(text) {
	return new TextEncoder().encode(text).length;
}

function autoOr(check) {
	return (id, value) => value == 'auto' ? true : check(id, value);
}

function address(text, version) {
	const four = /^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

	if (version == 4)
		return four.test(text);
	const tail = text.slice(text.lastIndexOf(':') + 1);
	if (tail.indexOf('.') >= 0)
		text = four.test(tail) ? text.slice(0, -tail.length) + '0:0' : '';
	const halves = text.split('::');
	const groups = halves.reduce((all, half) => all.concat(half ? half.split(':') : []), []);
	return halves.length <= 2 && groups.every(g => /^[0-9a-f]{1,4}$/i.test(g)) && (halves.length == 2 ? groups.length < 8 : groups.length == 8);
}

function network(id, value) {
	const parts = String(value).trim().split('/'), six = parts[0].indexOf(':') >= 0;
	const fits = parts.length == 1 || (parts.length == 2 && /^\d{1,3}$/.test(parts[1]) && parts[1] <= (six ? 128 : 32));

	return value === '' || (fits && address(parts[0], six ? 6 : 4)) ? true : _('a network as 192.168.1.0/24 or fd00::/8, or an address');
}

function protocol(id, value) {
	const known = [ 'tcp', 'udp', 'icmp', 'icmpv6', 'gre', 'esp', 'sctp' ];

	return value === '' || known.indexOf(value.toLowerCase()) >= 0 || (/^\d+$/.test(value) && +value <= 255) ? true : _('%s or a number from 0 to 255').format(known.join(', '));
}

function mark(id, value) {
	const bits = text => /^(0x[0-9a-f]+|\d+)$/i.test(text) && !/^0X/.test(text) && Number(text) <= 0xffffffff ? Number(text) : NaN;
	const parts = value.split('/'), mask = parts.length > 1 ? bits(parts[1]) : 0xffffffff;

	/* BigInt: the bits are 32, and JavaScript's have a sign. */
	return value === '' || (parts.length <= 2 && mask > 0 && bits(parts[0]) >= 0 && !(BigInt(bits(parts[0])) & ~BigInt(mask))) ? true : _('a mark as 0x10 or 0x10/0xff, its bits within the mask');
}

return view.extend({
	load: function() {
		return Promise.all([ uci.load('ctwarden'), ctw.readStatus().catch(e => ({ trouble: e })) ]);
	},

	/* What the option says now, or the default. */
	value: function(section, option) {
		const found = this.map.lookupOption(option, section);
		const value = found ? found[0].formvalue(section) : null;

		return value == null || value === '' ? (found ? found[0].default : null) : value;
	},

	/* Two options that have to fit: `right` says whether they do. */
	fits: function(check, section, other, right, words) {
		return (id, value) => {
			const alone = check(id, value), theirs = this.value(section, other);

			if (alone !== true || value === '' || value == 'auto' || theirs == 'auto')
				return alone;
			return right(parseInt(value, 10), parseInt(theirs, 10)) ? true : words.format(theirs);
		};
	},

	flag: function(section, tab, name, title, text, on) {
		const o = tab ? section.taboption(tab, form.Flag, name, title, text) : section.option(form.Flag, name, title, text);

		o.default = on ? '1' : '0';
		/* Written out: another spelling of yes must not end as no. */
		o.rmempty = false;
		o.cfgvalue = id => {
			const value = uci.get('ctwarden', id, name);
			return value == null ? o.default : YES.indexOf(value) >= 0 ? '1' : '0';
		};
		return o;
	},

	field: function(section, tab, kind, name, title, text, standard, check) {
		const o = tab ? section.taboption(tab, kind, name, title, text) : section.option(kind, name, title, text);

		if (standard != null) {
			o.default = standard;
			o.placeholder = standard;
		}
		o.optional = true;
		o.rmempty = true;
		if (check)
			o.validate = check;
		return o;
	},

	choices: function(o, pairs) {
		pairs.forEach(pair => o.value(pair[0], pair[1]));
		return o;
	},

	form: function() {
		const m = this.map = new form.Map('ctwarden', null, null);
		const units = _('(or as %s)');
		const value = (tab, ...rest) => this.field(s, tab, form.Value, ...rest);
		const flag = (...rest) => this.flag(s, ...rest);
		const list = (most, name, title, text, standard, check) => {
			const o = this.field(s, 'lan', form.DynamicList, name, title, text.format(most), standard, (id, value) =>
				value && new Set(L.toArray(o.formvalue(id)).concat(value)).size > most ? _('up to %d').format(most) : check(id, value));
			return o;
		};
		let s = m.section(form.NamedSection, 'main', 'ctwarden', _('The guard'));

		s.tab('relief', _('Relief'));
		s.tab('emergency', _('Emergency'));
		s.tab('lan', _('LAN'));

		flag('relief', 'enabled', _('Enabled'), _('Watch the table and relieve it.'), true);
		flag('relief', 'dry_run', _('Dry run'), _('Decide and report everything, change nothing.'), false);
		this.choices(this.field(s, 'relief', form.ListValue, 'policy', _('Policy'), _('How far relief may go, each step only if the one before did not do.'), 'flush'), [
			[ 'watch', _('watch: report only') ],
			[ 'relief', _('relief: raise the limit, trim, slow down') ],
			[ 'flush', _('flush: the same, and at last empty the table') ],
			[ 'accept', _('accept: the same, and at the very last open') ]
		]);
		this.choices(this.field(s, 'relief', form.DynamicList, 'ladder', _('Steps'), _('The steps one by one, instead of a policy. Each once.'), null, (id, value) =>
			value === '' || ctw.RUNGS.indexOf(value) >= 0 ? true : _('one of: %s').format(ctw.RUNGS.join(', '))),
		ctw.RUNGS.map(rung => [ rung, ctw.rungName(rung) ]));
		value('relief', 'high', _('High mark'), _('Relief starts when the table is this full, in percent.'), '85', within(10, 99, { '': 10, '%': 10 }));
		value('relief', 'low', _('Low mark'), _('Relief stops here, in percent.'), '60',
			this.fits(within(5, 98, { '': 10, '%': 10 }), 'main', 'high', (low, high) => low < high, _('below the high mark, which is %s')));
		value('relief', 'hold', _('Patience'), _('How long connections must have been refused before a step that hurts, in seconds.'), '10', within(0, 600, SECONDS, units.format('500ms, 2m')));
		value('relief', 'flushes_per_hour', _('Flushes an hour'), _('At most so many. 0 is never.'), '4', within(0, 16));
		value('relief', 'flush_gain', _('Least gain of a flush'), _('A flush that kept the table usable for less is not repeated within the hour, in seconds.'), '60', within(0, 3600, SECONDS, units.format('500ms, 2m')));

		flag('relief', 'realtime', _('Before everything else'), _('Run before all that is not of the real-time class, so that a flood on a single core cannot starve it. From the next start on.'), false);
		flag('relief', 'textfile', _('Textfile of metrics'), _('Write metrics to /var/prometheus/ctwarden.prom every 15 s, for a textfile collector.'), false);

		this.choices(this.field(s, 'emergency', form.ListValue, 'backend', _('Emergency rules'), _('Where they go.'), 'auto'), [
			[ 'auto', _('whatever is found') ], [ 'fw4', 'fw4' ], [ 'nft', 'nft' ], [ 'iptables', 'iptables' ], [ 'snapshot', _('snapshot: iptables without xt_recent') ], [ 'script', _('script: the firewall is stopped and started') ], [ 'none', _('none') ]
		]);
		value('emergency', 'shed_seconds', _('Slow down for'), _('New connections of one host, or to one destination, for so long at a stretch, in seconds.'), '600', within(30, 86400, SECONDS, units.format('45s, 2m')));
		value('emergency', 'shed_count', _('And to so many at a time'), _('0 is not. Only with nft; needs kmod-nft-connlimit.'), '0', within(0, 256));
		this.choices(this.field(s, 'emergency', form.ListValue, 'open_scope', _('Open'), _('How far it opens, while packets are refused.'), 'router'), [
			[ 'router', _('router: the LAN to the ports below') ], [ 'lan', _('lan: that, and TCP that is not translated (IPv6)') ], [ 'all', _('all: everything from everywhere. Strangers get in') ]
		]);
		value('emergency', 'open_seconds', _('Open for'), _('At most, in seconds.'), '600', within(30, 86400, SECONDS, units.format('45s, 2m')));
		value('emergency', 'opens_per_hour', _('Openings an hour'), _('At most so many by itself. 0 is never.'), '2', within(0, 16));

		flag('lan', 'lifeline', _('Lifeline'), _('Keep the ports below and DHCP reachable from the LAN when the table is full.'), true);
		flag('lan', 'lifeline_dns', _('DNS too'), _('Not where a NAT rule touches port 53.'), false);
		list(4, 'lan', _('Interfaces'), _('Those that are the LAN, up to %d.'), 'br-lan', (id, value) =>
			bytes(value) <= 15 && !/[/\s\x00-\x1f\x7f]/.test(value) && value != '.' && value != '..' ? true : _('an interface, of up to 15 bytes'));
		list(8, 'ports', _('Ports'), _('TCP ports of the router, up to %d.'), null, within(1, 65535)).placeholder = '22 80 443';

		s = m.section(form.NamedSection, 'sizing', 'sizing', _('The limit'));
		value(null, 'max', _('Limit'), _('Entries that the table may have: auto, or a number.'), 'auto',
			this.fits(this.fits(autoOr(within(128, 16777216)), 'sizing', 'floor', (max, floor) => max >= floor, _('at least the floor, which is %s')),
				'sizing', 'ceiling', (max, ceiling) => max <= ceiling, _('at most the ceiling, which is %s')));
		value(null, 'ram_percent', _('Share of the memory'), _('auto: a full table may take so much of what the system and the radios leave, in percent.'), '12', within(1, 50, { '': 10, '%': 10 }));
		value(null, 'reserve', _('Reserve'), _('Memory that must stay available when the limit is raised, in megabytes.'), '8', within(0, 4096, MEGABYTES, units.format('8192K')));
		value(null, 'floor', _('Floor'), _('auto never goes below.'), '8192',
			this.fits(within(128, 16777216), 'sizing', 'ceiling', (floor, ceiling) => floor <= ceiling, _('at most the ceiling, which is %s')));
		value(null, 'ceiling', _('Ceiling'), _('auto never goes above.'), '262144', within(128, 16777216));
		value(null, 'buckets', _('Hash slots'), _('auto, or a number from an eighth of the limit to the limit.'), 'auto',
			this.fits(autoOr(within(128, 16777216)), 'sizing', 'max', (buckets, max) => buckets <= max && max <= buckets * 8, _('from 1/8 of the limit to the limit, which is %s')));
		flag(null, 'enforce', _('Lower it too'), _('Also lower a limit that the system or you have set higher.'), false);

		s = m.section(form.TypedSection, 'protect', _('Protected connections'), _('They are never removed, not even by a flush. All that an entry gives must match; up to 16 entries.'));
		s.anonymous = true;
		s.addremove = true;
		value(null, 'name', _('Name'), _('For reports.'), null, (id, value) =>
			bytes(value) <= 32 && !/[\x00-\x1f\x7f-\x9f]/.test(value) ? true : _('up to 32 bytes without control characters'));
		value(null, 'source', _('Source'), _('Who opened the connection.'), null, network).placeholder = '192.168.1.20';
		value(null, 'destination', _('Destination'), _('Where to, before any NAT.'), null, network).placeholder = '203.0.113.0/24';
		value(null, 'proto', _('Protocol'), null, null, protocol).placeholder = 'udp';
		value(null, 'port', _('Port'), _('The destination port.'), null, within(1, 65535)).placeholder = '5060';
		value(null, 'mark', _('Mark'), _('The connection mark.'), null, mark).placeholder = '0x10/0xff';
		return m;
	},

	/* What the limit would be and cost with what stands in the form. */
	effect: function() {
		const max = this.value('sizing', 'max'), percent = parseInt(this.value('sizing', 'ram_percent'), 10);

		return ctw.size(max && max != 'auto' ? +max : undefined, percent || undefined).then(plan => ctw.plan(_('With this the limit is %s, and a full table takes %s of memory.'), plan),
			err => [ ctw.p(ctw.why(err)) ]).then(nodes => dom.content(this.cost, nodes));
	},

	/* A text that the daemon answers, in a dialog. */
	lines: function(title, call, ev) {
		return ctw.confirm(ev, {
			title: title,
			ask: call,
			tell: answer => [ E('pre', { 'class': 'ctw-lines', 'tabindex': 0 }, [
				L.toArray(answer.lines).join('\n')
			]) ],
			go: null
		});
	},

	handleSave: function(ev) {
		return this.super('handleSave', [ ev ]).then(answer => {
			this.effect();
			return answer;
		});
	},

	render: function(loaded) {
		const s = loaded[1];
		let timer = null;

		this.cost = E('div', {});
		return this.form().render().then(nodes => {
			const later = () => {
				window.clearTimeout(timer);
				timer = window.setTimeout(() => this.effect(), 500);
			};

			nodes.addEventListener('input', later);
			nodes.addEventListener('change', later);
			nodes.addEventListener('widget-change', later);
			if (!s.trouble)
				window.setTimeout(() => this.effect(), 0);
			return ctw.page(_('Settings'), _('What stands here is the file /etc/config/ctwarden. What is saved and applied counts at once, without a restart.'), [
				s.trouble ? ctw.trouble(s.trouble) : '',
				nodes,
				ctw.section(_('What this limit costs'), [ this.cost ]),
				ctw.section(_('Trying it out'), [
					ctw.p(_('The check reads the saved file as the daemon does. The drill plays an attack to the guard under the settings in force, and shows what it would do; nothing is touched.')),
					E('div', { 'class': 'ctw-row' }, [
						ctw.button(_('Check'), 'action', ev => this.lines(_('Check'), () => ctw.check(), ev)),
						ctw.acting(_('Drill'), 'action', ev => this.lines(_('Drill'), () => ctw.drill(), ev))
					])
				])
			]);
		});
	}
});
