// ctwarden's metrics for prometheus-node-exporter-ucode: goes into /usr/share/ucode/node-exporter/lib/.
// Names, types and labels come from the daemon, by ubus; nothing is said of them here.

// What a textfile collector tells already (option textfile) is not told twice.
if (fs.stat("/var/prometheus/ctwarden.prom"))
	return;

const reply = ubus ? ubus.call("ctwarden", "metrics") : null;

// The exporter makes node_scrape_collector_success{collector="ctwarden"} 0 of it.
if (!reply)
	return false;

// Rows of one name stand together, and its type may be told once only.
let name, tell;

for (let row in reply.metrics) {
	if (row.name != name) {
		name = row.name;
		tell = (row.type == "counter") ? counter(name) : gauge(name);
	}
	tell(row.labels, row.value);
}
