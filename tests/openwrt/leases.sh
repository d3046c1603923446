# shellcheck shell=bash disable=SC2154
# Leases, by what passes: through a reload of the firewall, its restart, and its stop.
serve() {
    "$@" &
    children+=($!)
}
serve ip netns exec "$names-wan" python3 "$traffic" serve 8000
serve ip netns exec "$names-lan" python3 "$traffic" serve 8000
sleep 0.5
# Of 400 new connections in 2 s, how many arrive. Each time others: those of before live on for a while.
first=10000
arrive() {
    local sink
    first=$((first + 400))
    # Not by wan, which would be a shell: the signal is for the program.
    ip netns exec "$names-wan" python3 "$traffic" sink 9000 "$work/sink" &
    sink=$!
    sleep 0.4
    lan python3 "$traffic" flows 10.77.0.2 10.78.0.2 9000 400 2 "$first"
    sleep 0.3
    kill "$sink"
    wait "$sink"
    arrived=$(cat "$work/sink")
}
from_wan() { wan python3 "$traffic" connect 10.78.0.2 10.78.0.1 22 1 1; }
let_in() { [ "$(from_wan)" = 1 ]; }
kept_out() { [ "$(from_wan)" = 0 ]; }
router "nft list tables 2>/dev/null; ctwarden flush" >/dev/null

arrive
check "without a lease 400 of 400 arrive" between 400 "$arrived" 400
if [ "$backend" = snapshot ]; then
    check "slowed down: not by this back end, which says so" not router "ctwarden shed 10.77.0.2 --for 600"
else
    router "ctwarden shed 10.77.0.2 --for 600" >/dev/null
    arrive
    check "slowed down, some" between 30 "$arrived" 80
fi
check "what is connected is not" between 1 "$(lan python3 "$traffic" connect 10.77.0.2 10.78.0.2 8000 3 3)" 3
check "WAN to router: kept out" kept_out
router "ctwarden open --scope all --for 600" >/dev/null
check "open: let in" let_in
if [ -n "$fw4" ]; then
    router "fw4 -q reload"
    check "fw4 reload: still let in" let_in
    arrive
    check "fw4 reload: still slowed down" between 30 "$arrived" 80
    router "fw4 -q restart"
    check "fw4 restart: put back" eventually 6 let_in
    arrive
    check "fw4 restart: slowed down again" between 30 "$arrived" 80
    router "/etc/init.d/firewall stop" 2>/dev/null
    check "service firewall stop: it is said" eventually 12 not rules_by fw4
    router "/etc/init.d/firewall start" 2>/dev/null
    check "service firewall start: the rules are there again" eventually 12 rules_by fw4
    check "and what is open is again" eventually 6 let_in
else
    # Rules set aside are no lease that could be given again: a firewall that is loaded anew is one that closes.
    load_fw3
    if [ "$backend" = snapshot ]; then
        check "the firewall loaded anew: closed" kept_out
        router "ctwarden open --scope all --for 600" >/dev/null
    else
        check "the firewall loaded anew: put back" eventually 15 let_in
    fi
fi
router "ctwarden close" >/dev/null
check "close: kept out" kept_out
arrive
check "close: 400 of 400 arrive" between 400 "$arrived" 400
router "ctwarden open --scope all --for 600" >/dev/null
check "open once more" let_in
router "uci set ctwarden.main.enabled=0; uci commit ctwarden" # so that procd's next one is none
kill -9 "$(daemons)"
if [ "$backend" = snapshot ]; then
    guardian=$(pgrep -f 'ctwarden guardian' | while read -r p; do ours "$p" && echo "$p"; done)
    kill -9 "$guardian"
    sleep 1
    check "kill -9, of its guardian too: it stays open" let_in
else
    check "kill -9 while it is open: closed by itself within 30 s" eventually 32 kept_out
fi
router "uci set ctwarden.main.enabled=1; uci commit ctwarden; /etc/init.d/ctwarden restart"
check "and on again" eventually 8 answers
check "kept out" eventually 3 kept_out
