// As much of rpcd's `uci` object as the settings page uses, on one file: changes are staged a session, and applied.

import fs from 'node:fs';

// config, option and list lines, quoted or bare.
function words(line) {
	return [ ...line.matchAll(/'([^']*)'|"([^"]*)"|([^\s'"#]+)|(#.*)/g) ].filter(m => m[4] === undefined).map(m => m[1] ?? m[2] ?? m[3]);
}

export class Uci {
	constructor(file, applied) {
		this.file = file;
		this.applied = applied;
		this.staged = new Map();
		this.made = 0;
	}

	read() {
		const sections = new Map();
		let now = null;
		for (const line of fs.readFileSync(this.file, 'utf8').split('\n')) {
			const [ verb, name, value ] = words(line.trim());
			if (verb == 'config') {
				const id = value || 'cfg' + (sections.size + 1).toString(16).padStart(2, '0') + name;
				now = { '.type': name, '.anonymous': !value, '.name': id, '.index': sections.size };
				sections.set(id, now);
			} else if (verb == 'option')
				now[name] = value;
			else if (verb == 'list')
				now[name] = [ ...(now[name] || []), value ];
		}
		return sections;
	}

	write(sections) {
		let text = '';
		for (const s of sections.values()) {
			text += `config ${s['.type']}${s['.anonymous'] ? '' : ` '${s['.name']}'`}\n`;
			for (const [ name, value ] of Object.entries(s))
				if (name[0] != '.')
					text += [ value ].flat().map(v => `\t${Array.isArray(value) ? 'list' : 'option'} ${name} '${v}'\n`).join('');
			text += '\n';
		}
		fs.writeFileSync(this.file + '.new', text);
		fs.renameSync(this.file + '.new', this.file);
	}

	sections(sid) {
		return this.staged.get(sid) || this.read();
	}

	async call(sid, method, args) {
		const sections = this.sections(sid);
		switch (method) {
		case 'get':
			return args.config == 'ctwarden' ? [ 0, { values: Object.fromEntries(sections) } ] : [ 4 ];
		case 'set':
			if (!sections.has(args.section))
				return [ 4 ];
			Object.assign(sections.get(args.section), args.values);
			break;
		case 'add': {
			const id = 'cfgnew' + ++this.made;
			sections.set(id, { '.type': args.type, '.anonymous': true, '.name': id, '.index': sections.size, ...args.values });
			this.staged.set(sid, sections);
			return [ 0, { section: id } ];
		}
		case 'delete':
			if (!sections.has(args.section))
				return [ 4 ];
			if (args.options)
				args.options.forEach(name => delete sections.get(args.section)[name]);
			else
				sections.delete(args.section);
			break;
		case 'apply':
			if (!this.staged.has(sid))
				return [ 5 ];
			this.write(sections);
			this.staged.delete(sid);
			await this.applied();
			return [ 0 ];
		case 'confirm':
			return [ 0 ];
		default:
			return [ 3 ];
		}
		this.staged.set(sid, sections);
		return [ 0 ];
	}
}
