'use strict';
'require baseclass';
'require ctwarden as ctw';

return baseclass.extend({
	title: _('Connection Table'),

	/* Never rejects: a single rejection would switch this off until the page is loaded again. */
	load: function() {
		return ctw.readStatus().catch(e => ({ trouble: e }));
	},

	render: function(s) {
		if (!s)
			return null;
		if (s.trouble)
			return E('p', {}, [ ctw.why(s.trouble) ]);
		const open = s.windows.open;

		return E('div', {}, [
			E('div', { 'class': 'cbi-progressbar', 'title': '%d / %d (%d%%)'.format(s.table.count, s.table.max, Math.round(s.occupancy / 10)) }, [
				E('div', { 'style': 'width:' + Math.min(100, s.occupancy / 10) + '%' })
			]),
			E('p', {}, [ ctw.verdict(s) + (s.dry_run ? ' ' + _('(dry run)') : '') ]),
			open ? E('p', {}, [ E('strong', {}, [ _('Open: %s, for another %s').format(ctw.scopeName(open.scope), ctw.span(open.left)) ]) ]) : ''
		]);
	}
});
