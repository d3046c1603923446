# shellcheck shell=bash disable=SC2154
# The collector for prometheus-node-exporter-ucode, in the router's own ucode and on its ubus.
if router "command -v ucode >/dev/null && ls /usr/lib/ucode/ubus.so /usr/lib/ucode/fs.so" >/dev/null; then
    # On the router's tmpfs: nothing stays.
    copy() { nsenter -t "$init" -m --root --wd /bin/sh -c "cat >/tmp/$2" <"$1"; }
    copy "$here/../fleet/exporter.uc" exporter.uc
    copy "$here/../../openwrt/fleet/collectors/ctwarden.uc" collector.uc
    collect() { router "ucode /tmp/exporter.uc /tmp/collector.uc $*"; }
    silent() { [ -z "$(collect)" ] && collect; }
    fails() { ! collect "$@" && [ -z "$(collect "$@")" ]; }
    told_alike() {
        collect >"$work/ucode" && router "ctwarden metrics" >"$work/text" &&
            python3 "$here/../fleet/check.py" same "$work/ucode" "$work/text"
    }
    router "rm -f /var/prometheus/ctwarden.prom"
    check "the ucode collector tells what the daemon tells" eventually 6 told_alike
    check "without ubus it tells of a failure" fails nobus
    router "mkdir -p /var/prometheus && touch /var/prometheus/ctwarden.prom"
    check "beside the textfile it is silent" silent
    router "rm -rf /var/prometheus; service ctwarden stop"
    check "without the daemon it tells of a failure" fails
    router "service ctwarden start; rm -f /tmp/exporter.uc /tmp/collector.uc"
    check "and the daemon is back" eventually 10 answers
else
    echo "not tried: the ucode collector (the root file system has no ucode with ubus and fs)"
fi
