# shellcheck shell=bash disable=SC2154
# ubusd killed and restarted: the object comes back. (The log's does not, here as on a router.)
bus=$(pgrep -f '^/sbin/ubusd' | while read -r p; do ours "$p" && echo "$p"; done)
kill "$bus"
check "ubusd killed: the object is back within 2 s of the socket" eventually 5 router "ubus list ctwarden"
router "/etc/init.d/log restart"

# opkg remove leaves the user, a config that was changed, and a limit that was saved; and names it.
router "ctwarden size --save" >/dev/null
check "size --save keeps the limit" test -s "$root/etc/sysctl.d/60-ctwarden.conf"
[ "$backend" = snapshot ] || router "ctwarden shed 10.77.0.2 --for 600" >/dev/null
check "leases are given" eventually 5 router "ctwarden open --scope all --for 600"
# A reload that procd begins a second later, when it is being removed.
router "uci set ctwarden.main.low=59; uci commit ctwarden; reload_config"
said=$(router "opkg remove luci-app-ctwarden >/dev/null 2>&1; opkg list-installed | sed -n 's/^\(ctwarden[a-z-]*\) .*/\1/p' | xargs opkg remove" 2>&1)
show "$said"
check "remove names what was saved" has '/etc/sysctl.d/60-ctwarden.conf' "$said"
check "remove: gone" no_daemon
left=$(diff <(echo "$files_before") <(files) | sed -n 's/^> [0-9a-f]* *//p')
check "remove: nothing else is left" hasnt . \
    "$(grep -vxE './etc/(passwd|group|shadow|config/(ctwarden|rpcd)|sysctl.d/60-ctwarden.conf)|./usr/lib/opkg/status' <<<"$left")"
show "left or changed: ${left//$'\n'/ }"
check "remove: nothing is missing" hasnt . "$(diff <(cut -c35- <<<"$files_before") <(files | cut -c35-) | sed -n 's/^< //p')"
check "remove: the rules are as before it came" same "$rules_before" "$(rules)"
check "remove: the sysctls are as before it came" same "$sysctls_before" "$(sysctls)"
check "remove: no state" test -z "$(router 'ls -d /var/run/ctwarden' 2>/dev/null)"
check "remove: the log is root's" has '^crw------- .* root +root ' "$(router 'ls -l /dev/kmsg')"
[ -z "$fw4" ] || check "fw4 check" router "fw4 check"
