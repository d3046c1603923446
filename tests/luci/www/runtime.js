/*
 * The part of LuCI's runtime that the pages of ctwarden use, and nothing else: a call that LuCI does not have, or has otherwise,
 * shall fail here too. Written against what the real one was seen to do (tests/luci/walk runs the same walk in both):
 * bare strings as contents are markup, calls made in one turn go out as one batch, Escape presses a dialog's first button.
 */
'use strict';

/* What the page may ask of its server comes in the document: session, place of the RPC, the menu's node, translations. */
const env = JSON.parse(document.getElementById('env').textContent);

window._ = text => (env.translations && env.translations[text]) || text;
window.N_ = (n, one, many) => n == 1 ? window._(one) : window._(many);

/* printf as LuCI's: %s %d %f %m, with zero padding, widths and precisions. */
String.prototype.format = function(...values) {
	let at = 0;

	return this.replace(/%(0)?(\d+)?(?:\.(\d+))?([%sdfmtjqh])/g, (all, zero, width, precision, kind) => {
		if (kind == '%')
			return '%';
		let value = values[at++], text;
		switch (kind) {
		case 'd': text = String(Math.floor(+value || 0)); break;
		case 'f': text = (+value || 0).toFixed(precision || 6); break;
		case 'm': {
			const base = +width || 1000, units = [ '', 'K', 'M', 'G', 'T' ];
			let unit = 0;
			for (value = +value || 0; value > base && unit < 4; unit++)
				value /= base;
			return value.toFixed(precision ? +precision : 2).replace(/\.0+$/, '') + ' ' + units[unit] + (units[unit] && base == 1024 ? 'i' : '');
		}
		case 's': text = String(value); break;
		default: throw new Error('format: %' + kind + ' is not used by these pages');
		}
		return zero ? text.padStart(+width || 0, '0') : text.padStart(+width || 0, ' ');
	});
};

/* --- classes --- */

function subclass(parent, props) {
	function Class(...args) {
		if (typeof this.__init__ == 'function')
			this.ready = this.__init__(...args);
	}
	Class.prototype = Object.assign(Object.create(parent ? parent.prototype : {}), props);
	Class.prototype.constructor = Class;
	Class.prototype.super = function(name, args) {
		let proto = Object.getPrototypeOf(this);
		while (proto && !(Object.prototype.hasOwnProperty.call(proto, name) && proto[name] === this[name]))
			proto = Object.getPrototypeOf(proto);
		return Object.getPrototypeOf(proto)[name].apply(this, args);
	};
	Class.extend = more => subclass(Class, more);
	return Class;
}

const baseclass = subclass(null, {});

/* --- dom --- */

const instances = new WeakMap();

const dom = {
	attr(node, attributes) {
		for (const key in attributes || {}) {
			const value = attributes[key];
			if (value === null || value === undefined)
				node.removeAttribute(key);
			else if (typeof value == 'function')
				node.addEventListener(key, value);
			else
				node.setAttribute(key, typeof value == 'object' ? JSON.stringify(value) : value);
		}
	},
	append(node, children) {
		if (children === null || children === undefined)
			return;
		if (Array.isArray(children))
			children.forEach(child => {
				if (child instanceof Node)
					node.appendChild(child);
				else if (child !== null && child !== undefined)
					node.appendChild(document.createTextNode(String(child)));
			});
		else if (children instanceof Node)
			node.appendChild(children);
		else
			/* As the real one does: this is why what comes from outside has to be in an array. */
			node.innerHTML = String(children);
	},
	content(node, children) {
		while (node.firstChild)
			node.removeChild(node.firstChild);
		dom.append(node, children);
	},
	create(what, attributes, children) {
		if (attributes instanceof Node || Array.isArray(attributes) || typeof attributes != 'object') {
			children = attributes;
			attributes = null;
		}
		const node = Array.isArray(what) ? document.createDocumentFragment() : document.createElement(what);
		if (Array.isArray(what))
			dom.append(node, what);
		dom.attr(node, attributes);
		dom.append(node, children);
		return node;
	}
};
const E = window.E = dom.create;

/* --- rpc --- */

let batch = [], requests = 0;

function flush() {
	const sent = batch;

	batch = [];
	const body = JSON.stringify(sent.length > 1 ? sent.map(s => s.message) : sent[0].message);
	fetch(env.rpc, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } }).then(
		response => response.ok ? response.json() : Promise.reject(new Error('failed with HTTP error ' + response.status)))
		.then(answers => sent.forEach((s, i) => s.answer(Array.isArray(answers) ? answers[i] : answers)))
		.catch(err => sent.forEach(s => s.fail(err)));
}

const STATUS = [ 'Command OK', 'Invalid command', 'Invalid argument', 'Method not found', 'Resource not found', 'No data received', 'Permission denied', 'Request timeout', 'Not supported', 'Unspecified error', 'Connection lost' ];

function rpcError(text) {
	const err = new Error(text);

	err.name = 'RPCError';
	return err;
}

const interceptors = [];

const rpc = {
	addInterceptor(fn) { interceptors.push(fn); return fn; },
	declare(options) {
		return (...args) => new Promise((resolve, reject) => {
			const params = {};
			(options.params || []).forEach((name, i) => { params[name] = args[i]; });
			const what = options.object + '/' + options.method;
			const message = { jsonrpc: '2.0', id: ++requests, method: 'call', params: [ env.session, options.object, options.method, params ] };
			batch.push({ message, fail: reject, answer(reply) {
				/* As the real one: what an interceptor throws at once is lost, what it rejects with is the call's end. */
				Promise.all(interceptors.map(fn => fn(reply, options))).then(() => this.handle(reply)).catch(reject);
			}, handle(reply) {
				if (reply.error)
					return reject(rpcError('RPC call to ' + what + ' failed with error ' + reply.error.code + ': ' + reply.error.message));
				let value = reply.result;
				if (Array.isArray(value)) {
					if (options.reject && value[0] !== 0)
						return reject(rpcError('RPC call to ' + what + ' failed with ubus code ' + value[0] + ': ' + (STATUS[value[0]] || 'Unknown error code')));
					value = value.length > 1 ? value[1] : value[0];
				}
				for (const key in options.expect || {}) {
					const standard = options.expect[key];
					if (key && value != null)
						value = value[key];
					if (value == null || Object.prototype.toString.call(value) != Object.prototype.toString.call(standard))
						value = standard;
				}
				resolve(value);
			} });
			if (batch.length == 1)
				setTimeout(flush, 0);
		});
	}
};

/* --- poll --- */

const polled = [];
let ticks = 0, ticking = null;

function tick() {
	polled.forEach(p => {
		if (ticks % p.seconds == 0 && !p.busy) {
			p.busy = true;
			Promise.resolve(p.fn()).finally(() => { p.busy = false; });
		}
	});
	ticks++;
}

const poll = {
	add(fn, seconds) {
		polled.push({ fn, seconds: seconds || 5, busy: false });
		if (!ticking) {
			ticking = setInterval(tick, 1000);
			setTimeout(tick, 0);
		}
		return true;
	}
};

/* --- uci --- */

const uciCall = (method, params) => rpc.declare({ object: 'uci', method, params, reject: true });
const uciGet = uciCall('get', [ 'config' ]), uciSet = uciCall('set', [ 'config', 'section', 'values' ]);
const uciAdd = uciCall('add', [ 'config', 'type', 'name', 'values' ]), uciDelete = uciCall('delete', [ 'config', 'section', 'options' ]);
const uciApply = uciCall('apply', [ 'timeout', 'rollback' ]), uciConfirm = uciCall('confirm');

const loaded = {}, changed = {};
let created = 0;

const uci = {
	load(config) {
		if (loaded[config])
			return Promise.resolve([ config ]);
		return uciGet(config).then(answer => {
			loaded[config] = answer.values || {};
			changed[config] = { set: {}, add: {}, del: {} };
			return [ config ];
		});
	},
	sections(config, type) {
		const c = changed[config], all = Object.assign({}, loaded[config], c.add);
		return Object.keys(all).filter(id => !c.del[id]).map(id => Object.assign({}, all[id], c.set[id], { '.name': id })).filter(s => !type || s['.type'] == type);
	},
	get(config, id, option) {
		const s = uci.sections(config).find(section => section['.name'] == id);
		return s ? s[option] : null;
	},
	set(config, id, option, value) {
		const c = changed[config];
		if (c.add[id])
			c.add[id][option] = value;
		else
			(c.set[id] = c.set[id] || {})[option] = value;
	},
	unset(config, id, option) {
		uci.set(config, id, option, null);
	},
	add(config, type) {
		const id = 'new' + Date.now().toString(36) + created++;
		changed[config].add[id] = { '.type': type, '.anonymous': true, '.name': id };
		return id;
	},
	remove(config, id) {
		if (changed[config].add[id])
			delete changed[config].add[id];
		else
			changed[config].del[id] = true;
	},
	save() {
		const tasks = [];
		for (const config in changed) {
			const c = changed[config];
			Object.keys(c.add).forEach(id => {
				const values = {};
				Object.keys(c.add[id]).filter(k => k[0] != '.' && c.add[id][k] != null).forEach(k => { values[k] = c.add[id][k]; });
				tasks.push(uciAdd(config, c.add[id]['.type'], undefined, values));
			});
			Object.keys(c.set).forEach(id => {
				const values = {}, gone = [];
				Object.keys(c.set[id]).forEach(k => c.set[id][k] == null ? gone.push(k) : values[k] = c.set[id][k]);
				if (Object.keys(values).length)
					tasks.push(uciSet(config, id, values));
				if (gone.length)
					tasks.push(uciDelete(config, id, gone));
			});
			Object.keys(c.del).forEach(id => tasks.push(uciDelete(config, id, undefined)));
			delete loaded[config];
		}
		return Promise.all(tasks).then(() => Promise.all(Object.keys(changed).map(uci.load)));
	}
};

/* --- ui --- */

const overlay = document.body.appendChild(E('div', { 'id': 'modal_overlay', 'tabindex': -1, 'keydown': ev => {
	if (ev.key == 'Escape') {
		const button = overlay.querySelector('.right > button, .right > .btn');
		if (button)
			button.click();
	}
} }, [ E('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': true }) ]));

const ui = {
	showModal(title, children, ...classes) {
		const dialog = overlay.firstElementChild;
		dialog.setAttribute('class', 'modal');
		classes.forEach(name => dialog.classList.add(name));
		dom.content(dialog, dom.create('h4', {}, title));
		dom.append(dialog, children);
		document.body.classList.add('modal-overlay-active');
		overlay.scrollTop = 0;
		overlay.focus();
		return dialog;
	},
	hideModal() {
		document.body.classList.remove('modal-overlay-active');
		overlay.blur();
	},
	addNotification(title, children, ...classes) {
		const content = document.getElementById('maincontent');
		const note = E('div', { 'class': 'alert-message ' + classes.join(' ') }, [ E('div', {}), E('button', { 'class': 'btn', 'click': () => note.remove() }, [ _('Dismiss') ]) ]);
		if (title != null)
			dom.append(note.firstChild, E('h4', {}, title));
		dom.append(note.firstChild, children);
		content.insertBefore(note, content.firstElementChild);
		return note;
	},
	createHandlerFn(ctx, fn, ...args) {
		if (typeof fn == 'string')
			fn = ctx[fn];
		if (typeof fn != 'function')
			return null;
		return ev => {
			const target = ev.currentTarget;
			target.classList.add('spinning');
			target.disabled = true;
			target.blur();
			Promise.resolve(fn.call(ctx, ...args, ev)).finally(() => {
				target.classList.remove('spinning');
				target.disabled = false;
			});
		};
	},
	changes: {
		apply(checked) {
			ui.showModal(null, E('p', { 'class': 'spinning' }, [ _('Applying configuration changes…') ]));
			return uciApply(30, checked).then(() => uciConfirm()).then(() => location.reload(),
				err => ui.showModal(null, E('p', {}, [ String(err.message) ])));
		}
	}
};

/* --- form --- */

const form = (() => {
	const Option = subclass(null, {
		__init__(map, section, name, title, text) {
			Object.assign(this, { map, section, option: name, title, description: text, default: null, optional: false, rmempty: true, choices: [], widgets: {} });
		},
		value(key, label) { this.choices.push([ String(key), label == null ? String(key) : label ]); },
		cfgvalue(id) { return uci.get(this.map.config, id, this.option); },
		validate() { return true; },
		formvalue(id) { const w = this.widgets[id]; return w ? this.read(w) : null; },
		/* What the widget shows: the value, or the default. */
		shown(id) { const v = this.cfgvalue(id); return v == null ? this.default : v; },
		check(id) {
			const w = this.widgets[id], v = this.read(w), optional = this.optional || this.rmempty;
			let fault = null;
			for (const one of Array.isArray(v) ? v : [ v ]) {
				if ((one == null || one === '') && !optional)
					fault = _('Expecting: non-empty value');
				else {
					const ok = this.validate(id, one == null ? '' : one);
					if (ok !== true)
						fault = ok || 'invalid';
				}
				if (fault)
					break;
			}
			w.classList.toggle('cbi-input-invalid', !!fault);
			w.setAttribute('data-tooltip', fault || '');
			w.parentNode.setAttribute('data-fault', fault || '');
			return fault;
		},
		parse(id) {
			const fault = this.check(id);
			if (fault)
				throw new TypeError(this.title + ': ' + fault);
			const was = this.cfgvalue(id), is = this.read(this.widgets[id]);
			const empty = is == null || is === '' || (Array.isArray(is) && !is.length);
			if (empty || (this.rmempty && !Array.isArray(is) && is == this.default)) {
				if (uci.get(this.map.config, id, this.option) != null)
					uci.unset(this.map.config, id, this.option);
			} else if (JSON.stringify(was) != JSON.stringify(is) || uci.get(this.map.config, id, this.option) == null)
				uci.set(this.map.config, id, this.option, is);
		},
		render(id) {
			const widget = this.widgets[id] = this.widget(id);
			widget.id = 'cbid.' + this.map.config + '.' + id + '.' + this.option;
			if (this.map.readonly)
				widget.querySelectorAll('input,select,button').forEach(n => { n.disabled = true; });
			widget.addEventListener('change', () => {
				this.map.options.forEach(o => Object.keys(o.widgets).forEach(other => o.check(other)));
				widget.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
			});
			return E('div', { 'class': 'cbi-value', 'id': 'cbi-' + this.map.config + '-' + id + '-' + this.option, 'data-name': this.option }, [
				E('label', { 'class': 'cbi-value-title', 'for': 'widget.' + widget.id }, [ this.title || '' ]),
				E('div', { 'class': 'cbi-value-field' }, [ widget, this.description ? E('div', { 'class': 'cbi-value-description' }, this.description) : '' ])
			]);
		}
	});
	const input = (o, id, attributes) => E('input', Object.assign({ 'id': 'widget.cbid.' + o.map.config + '.' + id + '.' + o.option }, attributes));
	const Value = Option.extend({
		widget(id) { const v = this.shown(id); return E('div', {}, [ input(this, id, { 'type': 'text', 'class': 'cbi-input-text', 'value': v == null ? '' : v, 'placeholder': this.placeholder }) ]); },
		read(w) { return w.querySelector('input').value; }
	});
	const Flag = Option.extend({
		widget(id) { return E('div', { 'class': 'cbi-checkbox' }, [ E('input', { 'type': 'checkbox', 'checked': this.shown(id) == '1' ? '' : null }) ]); },
		read(w) { return w.querySelector('input').checked ? '1' : '0'; }
	});
	const ListValue = Option.extend({
		widget(id) {
			const v = this.shown(id);
			return E('div', {}, [ E('select', { 'id': 'widget.cbid.' + this.map.config + '.' + id + '.' + this.option, 'class': 'cbi-input-select' },
				this.choices.map(c => E('option', { 'value': c[0], 'selected': c[0] == v ? '' : null }, [ c[1] ]))) ]);
		},
		read(w) { return w.querySelector('select').value; }
	});
	const DynamicList = Option.extend({
		widget(id) {
			const list = E('div', { 'class': 'cbi-dynlist' }), text = input(this, id, { 'type': 'text', 'placeholder': this.placeholder });
			/* As in the real one, a second of the same is dropped. */
			const add = v => [ ...list.querySelectorAll('.item') ].some(n => n.getAttribute('data-value') == v) || list.insertBefore(E('div', { 'class': 'item', 'data-value': v, 'click': ev => { ev.currentTarget.remove(); list.dispatchEvent(new CustomEvent('change', { bubbles: true })); } }, [ v ]), list.lastElementChild);
			list.appendChild(E('div', { 'class': 'add-item' }, [ text, E('button', { 'class': 'btn cbi-button cbi-button-add', 'type': 'button', 'click': () => {
				if (text.value)
					add(text.value);
				text.value = '';
				list.dispatchEvent(new CustomEvent('change', { bubbles: true }));
			} }, [ '+' ]) ]));
			L.toArray(this.shown(id)).forEach(add);
			return list;
		},
		read(w) { return [ ...w.querySelectorAll('.item') ].map(n => n.getAttribute('data-value')); }
	});
	const Section = subclass(null, {
		__init__(map, type, title, text) { Object.assign(this, { map, type, title, text, tabs: [], children: [] }); },
		tab(name, title) { this.tabs.push([ name, title ]); },
		option(Kind, name, title, text) {
			const o = new Kind(this.map, this, name, title, text);
			this.children.push([ null, o ]);
			this.map.options.push(o);
			return o;
		},
		taboption(tab, Kind, name, title, text) {
			if (!this.tabs.some(t => t[0] == tab))
				throw new ReferenceError('Associated tab not declared');
			const o = this.option(Kind, name, title, text);
			this.children[this.children.length - 1][0] = tab;
			return o;
		},
		block(id) {
			return E('div', { 'class': 'cbi-section-node', 'data-section-id': id }, [
				E([], this.tabs.map(t => E('fieldset', {}, [ E('legend', {}, [ t[1] ]), E([], this.children.filter(c => c[0] == t[0]).map(c => c[1].render(id))) ]))),
				E([], this.children.filter(c => c[0] == null).map(c => c[1].render(id)))
			]);
		},
		frame(children) {
			return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, this.title || ''), this.text ? E('div', { 'class': 'cbi-section-descr' }, this.text) : '', E([], children) ]);
		}
	});
	const NamedSection = Section.extend({
		__init__(map, id, type, title, text) { Section.prototype.__init__.call(this, map, type, title, text); this.section = id; },
		ids() { return uci.sections(this.map.config, this.type).some(s => s['.name'] == this.section) ? [ this.section ] : []; },
		render() { return this.frame(this.ids().length ? [ this.block(this.section) ] : [ E('em', {}, [ _('This section contains no values yet') ]) ]); }
	});
	const TypedSection = Section.extend({
		ids() { return uci.sections(this.map.config, this.type).map(s => s['.name']); },
		render() {
			const ids = this.ids();
			return this.frame([
				E([], ids.map(id => E([], [
					this.addremove ? E('div', { 'class': 'cbi-section-remove right' }, [ E('button', { 'class': 'cbi-button', 'type': 'button', 'disabled': this.map.readonly || null, 'click': () => { uci.remove(this.map.config, id); this.map.redraw(); } }, [ _('Delete') ]) ]) : '',
					this.block(id)
				]))),
				ids.length ? '' : E('em', {}, [ _('This section contains no values yet') ]),
				this.addremove ? E('div', { 'class': 'cbi-section-create' }, [ E('button', { 'class': 'cbi-button cbi-button-add', 'type': 'button', 'disabled': this.map.readonly || null, 'click': () => { this.map.keep(); uci.add(this.map.config, this.type); this.map.redraw(); } }, [ _('Add') ]) ]) : ''
			]);
		}
	});
	const Map = subclass(null, {
		__init__(config, title, text) { Object.assign(this, { config, title, text, sections: [], options: [], readonly: !L.hasViewPermission() }); },
		section(Kind, ...args) { const s = new Kind(this, ...args); this.sections.push(s); return s; },
		lookupOption(name, id) { const o = this.options.find(x => x.option == name && x.widgets[id]); return o ? [ o, id ] : null; },
		fill() {
			this.options.forEach(o => { o.widgets = {}; });
			dom.content(this.root, [ this.title ? E('h2', {}, this.title) : '', E([], this.sections.map(s => s.render())) ]);
		},
		redraw() { this.fill(); },
		/* What was typed is kept over a redrawing where it can be. */
		keep() { this.each(o => id => { try { o.parse(id); } catch { /* shown again as it was */ } }); },
		each(fn) { this.options.forEach(o => Object.keys(o.widgets).forEach(fn(o))); },
		render() {
			return uci.load(this.config).then(() => {
				this.root = E('div', { 'class': 'cbi-map', 'id': 'cbi-' + this.config });
				instances.set(this.root, this);
				this.fill();
				return this.root;
			});
		},
		save() {
			try {
				this.each(o => id => o.parse(id));
			} catch (err) {
				ui.showModal(_('Save error'), [ E('p', {}, [ _('An error occurred while saving the form:') ]), E('p', {}, [ E('em', {}, [ err.message ]) ]),
					E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Dismiss') ]) ]) ]);
				return Promise.reject(err);
			}
			return uci.save().then(() => this.fill());
		},
		reset() { this.fill(); return Promise.resolve(); }
	});
	return { Map, NamedSection, TypedSection, Value, Flag, ListValue, DynamicList };
})();

/* --- view --- */

const view = subclass(baseclass, {
	__init__() {
		const place = document.getElementById('view');
		dom.content(place, E('div', { 'class': 'spinning' }, _('Loading view…')));
		return Promise.resolve(this.load()).then(data => this.render(data)).then(nodes => {
			dom.content(place, nodes);
			dom.append(place, this.addFooter());
			window.drawn = performance.now();
		}).catch(err => {
			/* The real one shows the stack: a page that gets here has failed. */
			dom.content(place, E('pre', { 'class': 'error-stack' }, [ String(err.stack) ]));
		});
	},
	load() {},
	render() {},
	maps(fn) { return Promise.all([ ...document.querySelectorAll('#maincontent .cbi-map') ].filter(n => instances.has(n)).map(n => fn(instances.get(n)))); },
	handleSave() { return this.maps(m => m.save()); },
	handleSaveApply(ev) { return this.handleSave(ev).then(() => ui.changes.apply(true)); },
	handleReset() { return this.maps(m => m.reset()); },
	addFooter() {
		const readonly = !L.hasViewPermission() || null;
		const button = (name, label, style) => this[name] ? E('button', { 'class': 'cbi-button cbi-button-' + style, 'click': ui.createHandlerFn(this, name), 'disabled': readonly }, [ label ]) : '';
		return E('div', { 'class': 'cbi-page-actions' }, [ button('handleSaveApply', _('Save & Apply'), 'apply'), ' ', button('handleSave', _('Save'), 'save'), ' ', button('handleReset', _('Reset'), 'reset') ]);
	}
});

/* --- L, and the loader --- */

const L = window.L = {
	isObject: value => value !== null && typeof value == 'object',
	toArray: value => value == null ? [] : Array.isArray(value) ? value : typeof value == 'object' ? [ value ] : String(value).trim().split(/\s+/).filter(s => s),
	resolveDefault: (value, standard) => Promise.resolve(value).catch(() => standard),
	hasViewPermission: () => env.node.satisfied ? !env.node.readonly : null
};

const modules = { baseclass, dom, rpc, poll, uci, ui, form, view };
const loading = {};

function load(name) {
	if (modules[name])
		return Promise.resolve(modules[name]);
	if (loading[name])
		return loading[name];
	const path = '/luci-static/resources/' + name.replace(/\./g, '/') + '.js';
	return loading[name] = fetch(path).then(response => response.ok ? response.text() : Promise.reject(new Error(path + ': ' + response.status))).then(source => {
		const names = [], wanted = [];
		/* Only directives at the head count. */
		for (const line of source.split('\n')) {
			const found = line.match(/^'require ([\w.]+)(?: as (\w+))?';$/);
			if (found) {
				wanted.push(found[1]);
				names.push(found[2] || found[1].replace(/\W/g, '_'));
			} else if (line && line != '\'use strict\';')
				break;
		}
		return Promise.all(wanted.map(load)).then(deps => {
			const factory = new Function('window', 'document', 'L', ...names, source + '\n//# sourceURL=' + path);
			const Class = factory(window, document, L, ...deps);
			return new Class();
		});
	});
}

if (env.view)
	load('view.' + env.view.replace(/\//g, '.')).catch(err => dom.content(document.getElementById('view'), E('pre', { 'class': 'error-stack' }, [ String(err.stack) ])));
else
	/* The status overview: every include has a frame of its own, and one whose load rejects is never asked again. */
	Promise.all(env.includes.map(load)).then(includes => {
		const frames = includes.map(() => E('div', {}));
		dom.content(document.getElementById('view'), includes.map((i, n) => E('div', { 'class': 'cbi-section' }, [ E('h3', {}, i.title), frames[n] ])));
		poll.add(() => Promise.all(includes.map((i, n) => i.failed ? null : i.load().catch(() => { i.failed = true; frames[n].classList.add('failed'); }).then(data => {
			const nodes = i.failed ? null : i.render(data);
			if (nodes)
				dom.content(frames[n], nodes);
		}))), 3);
	});
