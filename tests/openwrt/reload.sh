# shellcheck shell=bash disable=SC2154
# A commit is applied without a restart, and one with a fault changes nothing.
ladder() { has "^ladder +$1" "$(router 'ctwarden status')"; }
before=$(daemons)
router "uci set ctwarden.main.policy=watch; uci commit ctwarden; reload_config"
check "uci set, commit, reload_config: applied" eventually 6 ladder 'none|-|watch'
check "by the same process" same "$before" "$(daemons)"
router "uci set ctwarden.main.high=7; uci commit ctwarden; reload_config"
sleep 3
check "one with a fault: the running one stays" ladder 'none|-|watch'
check "by the same process" same "$before" "$(daemons)"
check "the fault is named in the log" has "main.high '7'" "$(router logread)"
router "uci set ctwarden.main.high=85; uci set ctwarden.main.policy=flush; uci commit ctwarden; reload_config"
check "and back" eventually 6 ladder 'grow.*trim, shed, flush'
check "by the same process" same "$before" "$(daemons)"
router "uci set ctwarden.main.enabled=0; uci commit ctwarden; reload_config"
check "switched off: gone" eventually 10 no_daemon
router "uci set ctwarden.main.enabled=1; uci commit ctwarden; reload_config"
check "switched on: there" eventually 10 answers
if [ -n "$fw4" ]; then
    counted() { has "ct count over 64" "$(router 'nft list chain inet fw4 ctwarden_new')"; }
    router "uci set ctwarden.main.shed_count=64; uci commit ctwarden; reload_config"
    check "shed_count: counted in fw4's table" eventually 6 counted
    router "uci set ctwarden.main.shed_count=0; uci commit ctwarden; reload_config"
    check "shed_count 0: not any more" eventually 6 not counted
    snippet=$root/usr/share/ctwarden/nftables.d/table-pre/50-ctwarden.nft
    cp "$snippet" "$work/good"
    echo 'this is no rule' >"$snippet"
    check "a snippet that does not load is not put in place" not router "/usr/share/ctwarden/rules put"
    check "the firewall is whole without" router "fw4 check && nft list chain inet fw4 input"
    cp "$work/good" "$snippet"
    router "/usr/share/ctwarden/rules put"
    check "one that does is" eventually 10 rules_by fw4
fi
