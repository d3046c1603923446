// A caller on ubus: looks an object up and invokes its methods, arguments and answers as JSON values.

import net from 'node:net';

const HELLO = 0, STATUS = 1, DATA = 2, LOOKUP = 4, INVOKE = 5;
const ATTRIBUTE = { status: 1, path: 2, object: 3, method: 4, data: 7 };
const KIND = { array: 1, table: 2, text: 3, int64: 4, int32: 5, int16: 6, int8: 7, double: 8 };

const pad = bytes => Buffer.concat([ bytes, Buffer.alloc(-bytes.length & 3) ]);

function attribute(id, payload) {
	const head = Buffer.alloc(4);
	head.writeUInt32BE((id << 24 >>> 0) + 4 + payload.length);
	return pad(Buffer.concat([ head, payload ]));
}

function be32(n) {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(n >>> 0);
	return bytes;
}

const cString = text => Buffer.from(text + '\0');

function field(name, value) {
	let kind, payload;
	if (value === null)
		[ kind, payload ] = [ 0, Buffer.alloc(0) ];
	else if (Array.isArray(value))
		[ kind, payload ] = [ KIND.array, Buffer.concat(value.map(v => field('', v))) ];
	else if (typeof value == 'object')
		[ kind, payload ] = [ KIND.table, fields(value) ];
	else if (typeof value == 'boolean')
		[ kind, payload ] = [ KIND.int8, Buffer.from([ +value ]) ];
	else if (typeof value == 'number')
		[ kind, payload ] = [ KIND.int32, be32(value) ];
	else
		[ kind, payload ] = [ KIND.text, cString(String(value)) ];
	const named = Buffer.alloc(2);
	named.writeUInt16BE(Buffer.byteLength(name));
	const bytes = attribute(kind, Buffer.concat([ pad(Buffer.concat([ named, cString(name) ])), payload ]));
	bytes[0] |= 0x80;
	return bytes;
}

function fields(values) {
	return Buffer.concat(Object.keys(values).filter(k => values[k] !== undefined).map(k => field(k, values[k])));
}

// The attributes in a buffer: [id, payload].
function* attributes(bytes) {
	for (let at = 0; at + 4 <= bytes.length;) {
		const head = bytes.readUInt32BE(at), length = head & 0xffffff;
		if (length < 4 || at + length > bytes.length)
			throw new Error('ubus: damaged');
		yield [ head >>> 24 & 0x7f, bytes.subarray(at + 4, at + length) ];
		at += (length + 3) & ~3;
	}
}

function valueOf(kind, payload) {
	switch (kind) {
	case KIND.array: return [ ...entries(payload) ].map(e => e[1]);
	case KIND.table: return Object.fromEntries(entries(payload));
	case KIND.text: return payload.subarray(0, -1).toString('utf8');
	case KIND.int64: return Number(payload.readBigInt64BE());
	case KIND.int32: return payload.readInt32BE();
	case KIND.int16: return payload.readInt16BE();
	case KIND.int8: return !!payload[0];
	case KIND.double: return payload.readDoubleBE();
	}
	return null;
}

function* entries(bytes) {
	for (const [ kind, inner ] of attributes(bytes)) {
		const length = inner.readUInt16BE(0);
		yield [ inner.subarray(2, 2 + length).toString('utf8'), valueOf(kind, inner.subarray((2 + length + 1 + 3) & ~3)) ];
	}
}

export class Ubus {
	constructor(path) {
		this.sequence = 0;
		this.waiting = new Map();
		this.input = Buffer.alloc(0);
		this.socket = net.connect(path);
		this.ready = new Promise((resolve, reject) => {
			this.greeted = resolve;
			this.socket.on('error', reject);
		});
		this.socket.on('data', bytes => this.heard(bytes));
	}

	heard(bytes) {
		this.input = Buffer.concat([ this.input, bytes ]);
		while (this.input.length >= 12) {
			const length = 8 + (this.input.readUInt32BE(8) & 0xffffff);
			if (this.input.length < length)
				return;
			const message = this.input.subarray(0, length);
			this.input = this.input.subarray(length);
			this.take(message[1], message.readUInt16BE(2), Object.fromEntries(attributes(message.subarray(12))));
		}
	}

	take(kind, sequence, parts) {
		if (kind == HELLO)
			return this.greeted();
		const asked = this.waiting.get(sequence);
		if (!asked)
			return;
		if (kind == DATA)
			asked.told = parts;
		else if (kind == STATUS) {
			this.waiting.delete(sequence);
			asked.done(parts[ATTRIBUTE.status] ? parts[ATTRIBUTE.status].readUInt32BE() : 0, asked.told);
		}
	}

	ask(kind, peer, body) {
		return new Promise(resolve => {
			const sequence = this.sequence = this.sequence % 65535 + 1;
			const head = Buffer.alloc(8), length = Buffer.alloc(4);
			head[1] = kind;
			head.writeUInt16BE(sequence, 2);
			head.writeUInt32BE(peer, 4);
			length.writeUInt32BE(4 + body.length);
			this.waiting.set(sequence, { done: (status, told) => resolve([ status, told ]) });
			this.socket.write(Buffer.concat([ head, length, body ]));
		});
	}

	// The ubus status, and the bytes and value that were answered. Status -1: there is no such object.
	async call(object, method, args) {
		await this.ready;
		const [ missing, found ] = await this.ask(LOOKUP, 0, attribute(ATTRIBUTE.path, cString(object)));
		if (missing || !found)
			return [ -1 ];
		const id = found[ATTRIBUTE.object];
		const [ status, told ] = await this.ask(INVOKE, id.readUInt32BE(), Buffer.concat([
			attribute(ATTRIBUTE.object, id), attribute(ATTRIBUTE.method, cString(method)), attribute(ATTRIBUTE.data, fields(args)) ]));
		return told && told[ATTRIBUTE.data] ? [ status, Object.fromEntries(entries(told[ATTRIBUTE.data])) ] : [ status ];
	}

	close() {
		this.socket.destroy();
	}
}
