// What the settings page takes, and what `ctwarden check` does: every value is put to both, and they have to be of one mind.

const NUMBERS = [ 0, 1, 5, 10, 16, 30, 50, 98, 99, 128, 256, 600, 3600, 4096, 8192, 32768, 65535, 86400, 262144, 16777216, 4294967295 ].flatMap(n => [ n - 1, n, n + 1 ]).map(String);
const SPELLINGS = [ 'auto', 'Auto', '1.5', '1e2', '0x10', '+5', '010', 'abc', '60%', '60 %', '600s', '601s', '600001ms', '29999ms', '30000ms', '500ms', '10m', '11m', '1440m', '1441m', '1h', '2 m', '30 s', '8192K', '8192KB',
	'4M', '4MB', '4G', '1k', '4194304K', '4194305K', '99999999999999999999', '10 20', ' 85', '85 ' ];
const NETWORKS = [ '192.168.1.0/24', '192.168.1.5/24', '10.0.0.1', '1.2.3.4/0', '1.2.3.4/32', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/024', '1.2.3.4/8/8', '01.2.3.4', '1.2.3', '256.1.1.1', 'fd00::/8', 'fd00::1', '::', '::/0', '::1/128', 'fd00::/129',
	'::ffff:1.2.3.4', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7::', '1::2::3', '12345::', 'fe80::1%eth0', '[::1]', ':::', 'host', '/8' ];
const LISTS = {
	lan: [ 'br-lan', 'fifteen-bytes-x', 'sixteen-bytes-xy', 'a/b', '.', '..', 'a.1', 'ü'.repeat(7), 'ü'.repeat(8), [ 'a', 'b', 'c', 'd' ], [ 'a', 'b', 'c', 'd', 'e' ] ],
	ports: [ ...NUMBERS, '1-2', 'ssh', '22s', [ 1, 2, 3, 4, 5, 6, 7, 8 ].map(String), [ 1, 2, 3, 4, 5, 6, 7, 8, 9 ].map(String) ],
	ladder: [ 'grow', 'open', 'stateless', 'unload', 'burn', 'Trim', [ 'grow', 'trim', 'shed', 'flush', 'open', 'stateless', 'unload' ], [ 'trim', 'trim' ] ]
};
const TEXTS = {
	proto: [ 'tcp', 'TCP', 'udp', 'icmp', 'icmpv6', 'ICMPv6', 'icmp6', 'gre', 'esp', 'ah', 'sctp', ...NUMBERS, '007', 'any' ],
	mark: [ '0x10', '0X10', '0x', '16', '0x10/0xff', '0x100/0xff', '0x10/255', '0/0', '0/1', '1/', '/1', '1/2/3', '0xffffffff', '0x80000000/0x80000000', '0x80000000/0x7fffffff', '4294967295', '4294967296', '0x1ffffffff', '-1', '+1' ],
	name: [ 'Phone', 'x'.repeat(32), 'x'.repeat(33), 'ü'.repeat(16), 'ü'.repeat(17), 'a\u0085b', 'a\u202eb', 'in the hall' ],
	source: NETWORKS, destination: NETWORKS, port: [ ...NUMBERS, '1-2', '5060/udp', ' 53' ]
};
// Options that have to fit one another; what is not given has its default.
const TOGETHER = [
	{ low: '84', high: '85' }, { low: '85', high: '85' }, { low: '86', high: '85' }, { high: '60' }, { high: '61' }, { low: '85' }, { low: '84' }, { low: '60%', high: '61%' },
	{ max: '8192' }, { max: '8191' }, { max: '262144' }, { max: '262145' }, { max: '300000', ceiling: '300000' }, { max: '300001', ceiling: '300000' }, { max: '128', floor: '128' },
	{ floor: '262144' }, { floor: '262145' }, { ceiling: '8192' }, { ceiling: '8191' }, { floor: '300000', ceiling: '300000' },
	{ max: '16384', buckets: '2048' }, { max: '16384', buckets: '2047' }, { max: '16384', buckets: '16384' }, { max: '16384', buckets: '16385' }, { buckets: '16384' }, { buckets: '128' }
];

export const BASE = { main: { '.type': 'ctwarden' }, sizing: { '.type': 'sizing' }, one: { '.type': 'protect', source: '10.0.0.1' } };

// As a config file.
export function text(sections) {
	const lines = ([ name, value ]) => [ value ].flat().map(v => `\t${Array.isArray(value) ? 'list' : 'option'} ${name} '${v}'\n`).join('');
	return Object.entries(sections).map(([ id, s ]) => `config ${s['.type']} '${id}'\n` + Object.entries(s).filter(([ name ]) => name[0] != '.').map(lines).join('')).join('\n');
}

// On the settings page of `BASE`. `check(text)` says whether the command has no fault to find. Gives how many were put to both.
export async function bounds(page, check) {
	// The fields of the page: [section, option, kind, choices].
	const fields = await page.evaluate(() => [ ...document.querySelectorAll('#view .cbi-value') ].map(n => [ n.closest('[data-section-id]').dataset.sectionId, n.dataset.name,
		n.querySelector('.cbi-dynlist') ? 'list' : n.querySelector('select') ? 'choice' : n.querySelector('[type=checkbox]') ? 'switch' : 'text', [ ...n.querySelectorAll('option') ].map(o => o.value) ]));
	const home = Object.fromEntries(fields.map(([ section, option ]) => [ option, section ]));
	const cases = fields.filter(([ , , kind ]) => kind != 'switch').flatMap(([ section, option, kind, choices ]) =>
		(kind == 'list' ? LISTS[option] : kind == 'choice' ? choices : TEXTS[option] || [ ...NUMBERS, ...SPELLINGS ]).map(value => [ [ section, option, value ] ]))
		.concat(TOGETHER.map(all => Object.entries(all).map(([ option, value ]) => [ home[option], option, value ])));
	const wrong = [];
	for (const part of cases) {
		const { found, taken } = await page.evaluate(part => {
			const widget = ([ section, option ]) => document.querySelector(`#cbi-ctwarden-${section}-${option} .cbi-value-field > div`);
			const change = node => node.dispatchEvent(new Event('change', { bubbles: true }));
			const put = (node, value) => {
				if (node.classList.contains('cbi-dynlist')) {
					node.querySelectorAll('.item').forEach(item => item.click());
					for (const one of [ value ].flat()) {
						node.querySelector('input').value = one;
						node.querySelector('button').click();
					}
				} else
					node.querySelector('input, select').value = value;
				change(node);
			};
			const read = node => node.classList.contains('cbi-dynlist') ? [ ...node.querySelectorAll('.item') ].map(item => item.dataset.value) : node.querySelector('input, select').value;
			const before = part.map(one => read(widget(one)));
			part.forEach(one => put(widget(one), one[2]));
			const found = [ ...document.querySelectorAll('#view [data-fault]') ].map(n => n.dataset.fault).filter(fault => fault);
			const taken = part.map(one => [ one[0], one[1], read(widget(one)) ]);
			part.forEach((one, i) => put(widget(one), before[i]));
			return { found, taken };
		}, part);
		const sections = structuredClone(BASE);
		/* What it would save: of two of the same a list keeps one. */
		taken.forEach(([ section, option, value ]) => { sections[section][option] = value; });
		const good = check(text(sections));
		if (good != !found.length)
			wrong.push(part.map(one => `${one[1]} '${one[2]}'`).join(' ') + ` is ${good ? 'good to check, and not to the page' : 'a fault to check, and good to the page'}`);
	}
	return { number: cases.length, fields: fields.length, wrong };
}
