# shellcheck shell=bash disable=SC2154
# What it may, as /proc shows it.
pid=$(daemons)
status=$(cat "/proc/$pid/status")
check "its memory is locked" has '^VmLck:[[:space:]]+[1-9]' "$status"
check "resident in 1 MiB" between 1 "$(awk '/^VmRSS/ { print $2 }' <<<"$status")" 1024
if [ -n "$jail" ]; then
    uid=$(awk -F: '$1 == "ctwarden" { print $3 }' "$root/etc/passwd")
    gid=$(awk -F: '$1 == "ctwarden" { print $3 }' "$root/etc/group")
    check "the user ctwarden" has "^Uid:([[:space:]]+$uid){4}$" "$status"
    check "the group ctwarden" has "^Gid:([[:space:]]+$gid){4}$" "$status"
    check "no other group" hasnt "^Groups:.*[[:space:]]0([[:space:]]|$)" "$status"
    for set in Inh Prm Eff Bnd Amb; do
        # Bits 12 and 34: CAP_NET_ADMIN, CAP_SYSLOG.
        check "capabilities, $set: to change the network, to read the log" has "^Cap$set:[[:space:]]+0000000400001000$" "$status"
    done
    check "no new privileges" has '^NoNewPrivs:[[:space:]]+1' "$status"
    check "a jail: it is the first process there" has '^NSpid:.*[[:space:]]1$' "$status"
    check "in it, no password file" test ! -e "/proc/$pid/root/etc/shadow"
    check "in it, no shell" test ! -e "/proc/$pid/root/bin/sh"
    show "$(cut -d' ' -f4-6 "/proc/$pid/mountinfo")"
    writable=$(awk '$6 ~ /(^|,)rw(,|$)/ { print $5 }' "/proc/$pid/mountinfo" | sort | xargs)
    check "in it, nothing to write but its folder and /proc/sys/net (and what has owners of its own)" has '^/dev /dev/log /dev/pts /proc /proc/sys/net /(var|tmp)/run/ctwarden$' "$writable"
    check "its group may read the log" has '^crw-r----- .* ctwarden ' "$(router 'ls -l /dev/kmsg')"
else
    check "root, and it is said why" has 'runs as root: ' "$(router 'logread')"
fi
check "its folder is its own" has "^drwxr-xr-x .* $([ -n "$jail" ] && echo ctwarden || echo root) " "$(router 'ls -ld /var/run/ctwarden/')"
turn() { # "-": as everybody
    same "$1" "$(ps -o rtprio= -p "$(daemons)" | tr -d ' ')" && answers
}
check "realtime: not unless asked" turn -
# Where root itself may not raise limits, as in some virtual machines, procd cannot either.
if [ -z "$jail" ] || (ulimit -r 1) 2>/dev/null; then
    router "uci set ctwarden.main.realtime=1; uci commit ctwarden; reload_config"
    check "realtime, asked" eventually 12 turn 1
    router "uci set ctwarden.main.realtime=0; uci commit ctwarden; reload_config"
    check "realtime, asked no more" eventually 12 turn -
else
    echo "not tried: realtime in the jail (root may not raise limits on this machine)"
    router "uci set ctwarden.main.realtime=1; uci commit ctwarden; reload_config"
    sleep 5
    check "realtime, asked in vain: it is said" has 'realtime: permission denied' "$(router logread)"
    check "realtime, asked in vain: it runs all the same" answers
    router "uci set ctwarden.main.realtime=0; uci commit ctwarden; reload_config"
    sleep 5
fi
router "uci set ctwarden.main.textfile=1; uci commit ctwarden; reload_config"
check "metrics for a textfile collector" eventually 30 router "grep -q ^ctwarden_ /var/prometheus/ctwarden.prom"
router "uci set ctwarden.main.textfile=0; uci commit ctwarden; reload_config"
check "no more" eventually 15 not router "test -e /var/prometheus/ctwarden.prom"
# Another user is no matter of a signal.
router "uci set ctwarden.main.backend=script; uci commit ctwarden; reload_config"
runs_as() { has "^Uid:[[:space:]]+$1[[:space:]]" "$(cat "/proc/$(daemons)/status")" && answers; }
check "a back end that starts programs: as root" eventually 15 runs_as 0
# as_said WHY: what the init script's status says; nothing: that it need not.
as_said() { has "^runs as +${1:+root: }${1:-ctwarden, in a jail}" "$(router '/etc/init.d/ctwarden status')"; }
[ -z "$jail" ] || check "status says so" as_said "backend script starts programs"
router "uci set ctwarden.main.backend=auto; uci commit ctwarden; reload_config"
check "and back" eventually 15 runs_as "${uid:-0}"
[ -z "$jail" ] || check "status says that, too" as_said ""
if [ -n "$jail" ]; then
    router "uci add_list ctwarden.main.ladder=trim; uci add_list ctwarden.main.ladder=stateless; uci commit ctwarden; reload_config"
    check "a step that starts programs: as root" eventually 15 runs_as 0
    check "without a jail" hasnt . "$(jails)"
    check "status says so" as_said "stateless starts programs"
    router "uci delete ctwarden.main.ladder; uci commit ctwarden; reload_config"
    check "and back" eventually 15 runs_as "$uid"
    check "in a jail" has . "$(jails)"
fi
