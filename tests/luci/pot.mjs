// Makes po/templates/ctwarden.pot: every string of the pages, of the menu and the ACL, and the fixed texts that the daemon says.
//   node pot.mjs           writes it
//   node pot.mjs --check   fails if it is not as it would be written

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const app = path.join(root, 'openwrt/luci-app-ctwarden');
const found = new Map();

const note = (text, where) => found.set(text, [ ...(found.get(text) || []), where ]);

function files(folder, ending) {
	return fs.readdirSync(path.join(app, folder), { recursive: true }).filter(f => f.endsWith(ending)).map(f => path.join(folder, f)).sort();
}

for (const file of files('htdocs', '.js')) {
	fs.readFileSync(path.join(app, file), 'utf8').split('\n').forEach((line, i) => {
		for (const [ , text ] of line.matchAll(/\b_\('((?:[^'\\]|\\.)*)'\)/g))
			note(text.replace(/\\(.)/g, '$1'), file + ':' + (i + 1));
	});
}
for (const file of files('root', '.json'))
	for (const [ , text ] of fs.readFileSync(path.join(app, file), 'utf8').matchAll(/"(?:title|description)": "([^"]*)"/g))
		note(text, file);

// What the daemon says and the pages show through say(): each must stand in the source that is named.
const SAID = {
	'src/cli/size.rs': [ 'RAM', 'of it low memory', '- the system itself', '= spare', 'ram_percent', '/ an entry', '= entries', 'fixed by the config', 'raised to the floor', 'lowered to the ceiling', 'the system has more', 'kept', 'the system has no limit', 'counts as not set', 'buckets that fit it', 'buckets by the config', 'buckets as many as max', 'buckets for that max', 'buckets <= max <= 8 x buckets', 'lowered for the buckets', '8 a bucket: longer chains lose flows', 'when full it takes', 'more than there is now', 'available less the reserve' ],
	'src/event.rs': [ 'off', 'on', 'off: no interface named in main.lan is there', 'off: this back end has no leases', 'off: the firewall would not let untracked packets from the LAN in', 'off: a nat rule touches its ports', 'off: the firewall\'s rules cannot be read' ],
	'src/lease/mod.rs': [ 'new connections through the router still need room in the table', 'IPv4 behind NAT, and UDP, still need room in the table', 'IPv4 behind NAT still needs room in the table' ],
	'src/entry.rs': [ 'unreplied', 'replied', 'closing', 'assured', 'offloaded' ]
};
for (const [ file, texts ] of Object.entries(SAID)) {
	const source = fs.readFileSync(path.join(root, file), 'utf8');
	for (const text of texts) {
		if (!source.includes(text + '"')) {
			console.error(`pot: "${text}" is not in ${file} any more`);
			process.exit(1);
		}
		note(text, 'daemon');
	}
}

let pot = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n';
for (const [ text, places ] of [ ...found ].sort((a, b) => a[0] < b[0] ? -1 : 1))
	pot += '\n' + [ ...new Set(places) ].map(p => `#: applications/luci-app-ctwarden/${p}\n`).join('').replace(/applications\/luci-app-ctwarden\/daemon/g, 'daemon') + `msgid ${JSON.stringify(text)}\nmsgstr ""\n`;

const to = path.join(app, 'po/templates/ctwarden.pot');
if (!process.argv.includes('--check'))
	fs.writeFileSync(to, pot);
else if (!fs.existsSync(to) || fs.readFileSync(to, 'utf8') != pot) {
	console.error('pot: po/templates/ctwarden.pot is not up to date: node tests/luci/pot.mjs');
	process.exit(1);
}
