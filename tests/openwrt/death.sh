# shellcheck shell=bash disable=SC2154
# Killed, and stopped.
runs() { daemons | grep -qx "$1"; }
old=$(daemons)
kill -9 "$old"
check "kill -9: another one runs" eventually 15 another_daemon "$old"
if [ -n "$jail" ]; then
    old=$(daemons)
    kill -9 "$(jails)"
    check "kill -9 of its jail: it ends too" eventually 4 not runs "$old"
    check "and another one runs" eventually 15 another_daemon "$old"
fi
for ((i = 0; i < 8; i++)); do
    old=$(daemons)
    kill -9 "$old"
    eventually 15 another_daemon "$old" >/dev/null || break
done
check "kill -9 eight times in a row: it still comes back" test $i = 8

router "/etc/init.d/ctwarden stop"
check "stop: gone when the script is done" no_daemon
# The rules as they are without it: its snippets are there, empty.
idle=$(rules)
router "/etc/init.d/ctwarden start"
eventually 5 answers >/dev/null
router "uci set ctwarden.main.open_scope=all; uci commit ctwarden; reload_config"
sleep 3
[ "$backend" = snapshot ] || router "ctwarden shed 10.77.0.2 --for 600" >/dev/null
router "ctwarden open --scope all --for 600" >/dev/null
check "leases are given" hasnt "^$" "$(diff <(echo "$idle") <(rules) | head -n 1)"
began=$SECONDS
router "/etc/init.d/ctwarden stop"
check "stop within 5 s" between 0 $((SECONDS - began)) 5
check "stop: the rules are as before" same "$idle" "$(rules)"
check "stop: the sysctls are as before" same "$sysctls_before" "$(sysctls)"
check "stop: the log is root's again" has '^crw------- .* root +root ' "$(router 'ls -l /dev/kmsg')"
router "/etc/init.d/ctwarden restart"
check "restart" eventually 5 answers

# Taken out by hand, where the program can: a daemon in a jail cannot put it back, the init script does.
before=$(rules)
as_before() { same "$before" "$(rules)"; }
if router "ctwarden stateless --force" >/dev/null 2>&1; then
    without=$(rules)
    check "stateless: rules are out" not as_before
    router "uci set ctwarden.main.high=80; uci commit ctwarden; reload_config"
    sleep 3
    check "a reload leaves it so" same "$without" "$(rules)"
    router "/etc/init.d/ctwarden restart" >/dev/null
    check "a restart puts them back" eventually 8 as_before
fi
