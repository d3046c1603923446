// What prometheus-node-exporter-ucode offers its collectors, around one of them on a router: ucode exporter.uc COLLECTOR
// [nobus]. Ends with 1 where the exporter would tell of a failure.
import * as fs from "fs";
import { connect } from "ubus";

function metric(name, kind) {
	print("# TYPE ", name, " ", kind, "\n");
	return function(labels, value) {
		const words = map(keys(labels), label => `${label}="${labels[label]}"`);
		print(name, length(words) ? `{${join(",", words)}}` : "", " ", value, "\n");
	};
}

const run = loadfile(ARGV[0], { strict_declarations: true, raw_mode: true });
const done = call(run, null, {
	fs,
	ubus: ARGV[1] == "nobus" ? null : connect(),
	counter: name => metric(name, "counter"),
	gauge: name => metric(name, "gauge"),
});

exit(done == false ? 1 : 0);
