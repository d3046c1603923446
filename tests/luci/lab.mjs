// A router and its LAN in network namespaces: the real daemon on a table that is really full.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const ROUTER = 'luci-r', LAN = 'luci-l';
export const HOG = '192.168.7.66', PHONE = '192.168.7.20', SIX = 'fd00:7::', ROUTED = 'fd00:7:0:1::';

const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8', maxBuffer: 1 << 26 });

// So many entries as `conntrack -R` reads them: of a hog, a phone, the IPv6 network of the LAN and another one that is routed, and forty light hosts.
export function entries(number, lan, hog, phone) {
	const lines = [];
	for (let i = 0; i < number; i++) {
		const kind = i % 20, port = 1024 + i % 60000, far = `203.0.${i >> 8 & 255}.${i & 255}`;
		if (kind < 11)
			lines.push(`-A -p tcp -s ${hog} -d ${far} --sport ${port} --dport 6881 --state ESTABLISHED -t ${300 + i % 3000} -u SEEN_REPLY,ASSURED`);
		else if (kind < 13)
			lines.push(`-A -p udp -s ${phone} -d 198.51.100.53 --sport ${port} --dport 53 -t 28`);
		else if (kind < 15)
			lines.push(`-A -p tcp -s ${i % 3 ? SIX : ROUTED}${(i % 3 + 16).toString(16)} -d 2001:db8:9::${(i & 0xffff).toString(16)} --sport ${port} --dport 443 --state ESTABLISHED -t 3000 -u SEEN_REPLY,ASSURED`);
		else
			lines.push(`-A -p tcp -s ${lan}.${100 + i % 40} -d ${far} --sport ${port} --dport 443 --state ${kind < 17 ? 'TIME_WAIT' : 'ESTABLISHED'} -t ${kind < 17 ? 100 : 3000} -u SEEN_REPLY,ASSURED`);
	}
	return lines.join('\n') + '\n';
}

export class Lab {
	constructor(program, folder) {
		this.program = program;
		this.folder = folder;
		this.config = path.join(folder, 'config');
		this.socket = path.join(folder, 'socket');
		this.ubus = path.join(folder, 'ubus', 'ubus.sock');
	}

	inside(...command) {
		return run('ip', 'netns', 'exec', ROUTER, ...command);
	}

	up() {
		this.down();
		fs.rmSync(this.folder, { recursive: true, force: true });
		fs.mkdirSync(path.join(this.folder, 'ubus'), { recursive: true });
		run('ip', 'netns', 'add', ROUTER);
		run('ip', 'netns', 'add', LAN);
		run('ip', 'link', 'add', 'lan0', 'netns', ROUTER, 'type', 'veth', 'peer', 'name', 'e0', 'netns', LAN);
		run('ip', '-n', ROUTER, 'addr', 'add', '192.168.7.1/24', 'dev', 'lan0');
		run('ip', '-n', ROUTER, 'addr', 'add', SIX + '1/64', 'dev', 'lan0', 'nodad');
		run('ip', '-n', LAN, 'addr', 'add', HOG + '/24', 'dev', 'e0');
		for (const [ ns, device ] of [ [ ROUTER, 'lan0' ], [ ROUTER, 'lo' ], [ LAN, 'e0' ], [ LAN, 'lo' ] ])
			run('ip', '-n', ns, 'link', 'set', device, 'up');
		/* A firewall that tracks, and lets only the LAN in. */
		this.inside('nft', 'add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; ' +
			'add rule inet filter input ct state established,related accept; add rule inet filter input iifname "lan0" accept; ' +
			'add chain inet filter forward { type filter hook forward priority 0; policy drop; }; add rule inet filter forward iifname "lan0" accept');
	}

	down() {
		for (const ns of [ ROUTER, LAN ])
			try {
				execFileSync('ip', [ 'netns', 'del', ns ], { stdio: 'ignore' });
			} catch { /* not there */ }
	}

	count() {
		return +this.inside('conntrack', '-C');
	}

	max() {
		return +fs.readFileSync('/proc/sys/net/netfilter/nf_conntrack_max', 'utf8');
	}

	// Entries of one source.
	held(source) {
		return this.inside('conntrack', '-L', '-f', source.includes(':') ? 'ipv6' : 'ipv4', '-s', source).split('\n').filter(line => line).length;
	}

	// Entries of an IPv6 network, or of both.
	six(net = 'fd00:7:') {
		return this.inside('conntrack', '-L', '-f', 'ipv6').split('\n').filter(line => line.includes(' src=' + net)).length;
	}

	rules() {
		return this.inside('nft', 'list', 'ruleset');
	}

	// Fills the table anew, to `part` (of 1; without a limit of our own: of 16,384).
	fill(part) {
		const file = path.join(this.folder, 'entries');
		fs.writeFileSync(file, entries(Math.round(Math.min(this.max(), 16384) * part), '192.168.7', HOG, PHONE));
		execFileSync('ip', [ 'netns', 'exec', ROUTER, 'conntrack', '-F' ], { stdio: 'ignore' });
		this.inside('conntrack', '-R', file);
		return this.count();
	}

	// New connections of the hog, which a full table refuses.
	knock(number) {
		run('ip', 'netns', 'exec', LAN, 'node', '-e', `
			const s = require('dgram').createSocket('udp4'); let n = 0;
			const next = () => { for (let i = 0; i < 50 && n < ${number}; i++, n++) s.send('x', 2000 + n % 60000, '192.168.7.1'); n < ${number} ? setTimeout(next, 5) : setTimeout(() => s.close(), 50); };
			s.bind(next);`);
	}

	configure(text) {
		fs.writeFileSync(this.config, text);
	}

	async start() {
		/* /run of its own, so that its ubusd is the one it finds. */
		this.daemon = spawn('ip', [ 'netns', 'exec', ROUTER, 'unshare', '--mount', 'sh', '-c',
			'mount -t tmpfs run /run && mkdir /run/ubus && mount --bind "$1" /run/ubus && shift && exec "$@"', 'sh', path.join(this.folder, 'ubus'),
			this.program, 'run', '--config', this.config, '--socket', this.socket, '--state-dir', path.join(this.folder, 'state') ],
		{ stdio: [ 'ignore', fs.openSync(path.join(this.folder, 'log'), 'a'), fs.openSync(path.join(this.folder, 'log'), 'a') ] });
		process.once('exit', () => this.daemon && this.daemon.kill('SIGKILL'));
		this.ended = new Promise(resolve => this.daemon.on('exit', resolve));
		for (let i = 0; i < 100; i++) {
			if (fs.existsSync(this.socket))
				return;
			await new Promise(resolve => setTimeout(resolve, 50));
		}
		throw new Error('the daemon did not start: ' + fs.readFileSync(path.join(this.folder, 'log'), 'utf8'));
	}

	async stop() {
		if (this.daemon) {
			this.daemon.kill('SIGTERM');
			await this.ended;
			this.daemon = null;
		}
	}

	hup() {
		this.daemon.kill('SIGHUP');
	}

	// CPU seconds that the daemon has used.
	cpu() {
		return fs.readFileSync(`/proc/${this.daemon.pid}/schedstat`, 'utf8').split(' ')[0] / 1e9;
	}

	// The command line's answer, as JSON.
	cli(...args) {
		return JSON.parse(this.inside(this.program, ...args, '--socket', this.socket, '--config', this.config, '--json'));
	}
}
