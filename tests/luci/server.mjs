// A web server as a router with LuCI is one to our pages: the files of the package, its menu, its ACL, and JSON-RPC as
// uhttpd's /ubus and LuCI's own /cgi-bin/luci/admin/ubus speak it. Calls of the object `ctwarden` go to the real daemon.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const app = path.join(here, '../../openwrt/luci-app-ctwarden');

const json = file => JSON.parse(fs.readFileSync(path.join(app, file)));
const menu = json('root/usr/share/luci/menu.d/luci-app-ctwarden.json');
const acl = json('root/usr/share/rpcd/acl.d/luci-app-ctwarden.json')['luci-app-ctwarden'];

// What LuCI's own ACL grants beside ours.
const BASE = { read: { uci: [ 'get', 'changes' ] }, write: { uci: [ 'add', 'apply', 'confirm', 'delete', 'set' ] } };

export class Server {
	// `backend(object, method, args)` gives [status, data]; status -1: there is no such object, as `exists(object)` says too.
	constructor({ backend, exists, uci, hosts }) {
		Object.assign(this, { backend, exists, uci, hosts, log: [], replies: [], translations: null, rewrite: null });
		this.sessions = new Map([ [ 'r'.repeat(32), { user: 'root', groups: [ 'read', 'write' ] } ], [ 'g'.repeat(32), { user: 'guest', groups: [ 'read' ] } ], [ 'n'.repeat(32), { user: 'nobody', groups: [] } ] ]);
		this.http = http.createServer((request, response) => this.serve(request, response).catch(err => {
			response.writeHead(500);
			response.end(String(err.stack));
		}));
	}

	listen() {
		return new Promise(resolve => this.http.listen(0, '127.0.0.1', () => resolve(this.http.address().port)));
	}

	close() {
		this.http.closeAllConnections();
		this.http.close();
	}

	allowed(session, object, method, args) {
		return session.groups.some(group => {
			const methods = (BASE[group][object] || []).concat(acl[group].ubus[object] || []);
			return methods.includes(method);
		}) && (object != 'uci' || !args.config || session.groups.some(group => (method == 'get' || group == 'write') && (acl[group].uci || []).includes(args.config)));
	}

	// One call of a batch.
	async call(message, place) {
		const { id, params } = message;
		const error = (code, text) => ({ jsonrpc: '2.0', id, error: { code, message: text } });
		const result = value => ({ jsonrpc: '2.0', id, result: value });

		if (message.jsonrpc != '2.0' || message.method != 'call' || !Array.isArray(params) || params.length < 3)
			return error(-32600, 'Invalid request');
		const [ sid, object, method, args = {} ] = params, session = this.sessions.get(sid);
		// uhttpd looks for the object first, LuCI for the permission; and LuCI drops what is said beside an error.
		if (place == '/ubus' && !this.exists(object))
			return error(-32000, 'Object not found');
		if (!session || !this.allowed(session, object, method, args)) {
			this.log.push({ user: session?.user, object, method, args, denied: true });
			return error(-32002, 'Access denied');
		}
		const entry = { user: session.user, object, method, args };
		this.log.push(entry);
		let answer;
		if (object == 'uci')
			answer = await this.uci.call(sid, method, args);
		else if (object == 'luci-rpc')
			answer = [ 0, this.hosts[method] ];
		else
			answer = await this.backend(object, method, { ...args, ubus_rpc_session: sid });
		if (this.rewrite)
			answer = this.rewrite(object, method, answer);
		entry.status = answer[0];
		if (answer[0] == -1)
			return result([ 4 ]);
		return result(answer[0] && place != '/ubus' ? answer.slice(0, 1) : answer);
	}

	async serve(request, response) {
		const url = new URL(request.url, 'http://router');
		const send = (type, body) => {
			response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' });
			response.end(body);
		};
		const place = [ '/ubus', '/cgi-bin/luci/admin/ubus' ].find(p => url.pathname == p || url.pathname == p + '/');

		if (place) {
			let body = '';
			for await (const chunk of request)
				body += chunk;
			const message = JSON.parse(body);
			const answer = JSON.stringify(Array.isArray(message) ? await Promise.all(message.map(m => this.call(m, place))) : await this.call(message, place));
			this.replies.push({ methods: [ message ].flat().map(m => m.params?.slice(1, 3).join('.')).join(' '), bytes: Buffer.byteLength(answer) });
			return send('application/json', answer);
		}
		if (url.pathname.startsWith('/luci-static/')) {
			const file = path.join(app, 'htdocs', path.normalize(url.pathname));
			if (!fs.existsSync(file)) {
				response.writeHead(404);
				return response.end();
			}
			return send('text/javascript; charset=utf-8', fs.readFileSync(file));
		}
		if (url.pathname == '/runtime.js' || url.pathname == '/style.css')
			return send(url.pathname.endsWith('css') ? 'text/css' : 'text/javascript; charset=utf-8', fs.readFileSync(path.join(here, 'www', url.pathname)));
		return send('text/html; charset=utf-8', this.page(url));
	}

	page(url) {
		const session = this.sessions.get(url.searchParams.get('session')) || { groups: [] };
		const name = url.pathname.replace(/^\/cgi-bin\/luci\//, '').replace(/^\//, '');
		const node = menu[name];
		const may = group => session.groups.includes(group);
		const env = {
			session: url.searchParams.get('session'),
			rpc: url.searchParams.get('rpc') || '/ubus/',
			node: { satisfied: may('read'), readonly: !may('write') },
			view: node ? node.action.path : null,
			includes: fs.readdirSync(path.join(app, 'htdocs/luci-static/resources/view/status/include')).map(f => 'view.status.include.' + f.replace(/\.js$/, '')),
			translations: this.translations
		};
		const links = Object.keys(menu).filter(k => menu[k].action.type == 'view').map(k => `<a href="/cgi-bin/luci/${k}${url.search}">${menu[k].title}</a>`).join('');

		return `<!doctype html><html lang="en"${url.searchParams.get('theme') == 'dark' ? ' class="dark"' : ''}><head><meta charset="utf-8"><title>LuCI</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css"></head><body><header>${links}</header>
<div id="maincontent"><div id="view"></div></div><script type="application/json" id="env">${JSON.stringify(env).replace(/</g, '\\u003c')}</script><script src="/runtime.js"></script></body></html>`;
	}
}
