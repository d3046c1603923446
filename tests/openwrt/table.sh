# shellcheck shell=bash disable=SC2154
# A table that is really filled from the LAN, and really relieved. The limit is the host's: lowered for this, then put back.
lan ip addr add 10.77.0.3/24 dev eth0
count() { router "cat /proc/sys/net/netfilter/nf_conntrack_count"; }
# What is answered the kernel does not evict by itself: TCP connections, held.
serve ip netns exec "$names-wan" python3 "$traffic" keep 9001
flood() {
    ip netns exec "$names-lan" python3 "$traffic" hold 10.77.0.2 10.78.0.2 9001 12000 12 &
    children+=($!)
}
neighbour() { lan python3 "$traffic" connect 10.77.0.3 10.78.0.2 8000 100 8; }

router "/etc/init.d/ctwarden stop"
found=$(cat "$limit")
echo 2048 >"$limit"
flood
sleep 3
check "without it: full" between 2000 "$(count)" 2048
without=$(neighbour)
check "without it: the neighbour gets less than half of its connections" between 0 "$without" 50
kill $!

router "/etc/init.d/ctwarden start"
eventually 5 answers >/dev/null
router "ctwarden flush" >/dev/null
flood
sleep 3
with=$(neighbour)
check "with it: the neighbour gets all of its connections" between 99 "$with" 100
check "with it: below the limit" between 1 "$(count)" 2000
kill $!
check "who held the table is told" has '10\.77\.0\.2' "$(router 'ctwarden log')"
check "the owner gets in meanwhile" between 1 "$(lan python3 "$traffic" connect 10.77.0.3 10.77.0.1 22 1 1)" 1
show "the neighbour's connections: $without of 100 without, $with with it" "$(router 'ctwarden log' | head -n 12)"
echo "$found" >"$limit"
found=
