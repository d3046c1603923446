# shellcheck shell=bash disable=SC2154
# The package once more over itself, as an upgrade does it; and what sysupgrade would keep.
router "uci set ctwarden.main.high=84; uci commit ctwarden; reload_config"
eventually 5 answers >/dev/null
old=$(daemons)
# A chain or a set a line: made anew, it stands in another place.
blocks() { rules | awk '/^$/ { next } /^table/ { print; next } { printf "%s%s", $0, /^\t?}$/ ? "\n" : ";" }' | sort; }
rules_then=$(blocks)
same_rules() { same "$rules_then" "$(blocks)"; }
for package in "${installed[@]}"; do cp "$package" "$root/root/"; done
said=$(router "opkg install --force-reinstall --force-depends $packages" 2>&1)
status=$?
rm -f "$root"/root/*.ipk
show "$said"
check "an upgrade ends well" test $status = 0
check "nothing of ours is left in the firewall's way" hasnt 'Error: ' "$said"
check "another daemon runs" eventually 15 another_daemon "$old"
sleep 1
check "one daemon" one_daemon
check "the config is the owner's" has "'84'" "$(router 'uci show ctwarden.main.high')"
# opkg's own way with a config that was changed.
check "the shipped one lies beside it" cmp "$here/../../openwrt/ctwarden/files/etc/config/ctwarden" "$root/etc/config/ctwarden-opkg"
rm -f "$root/etc/config/ctwarden-opkg"
check "it starts at boot" test -L "$root/etc/rc.d/S20ctwarden"
check "uci-defaults are done with" test ! -e "$root/etc/uci-defaults/50-ctwarden"
[ -z "$fw4" ] || {
    check "the rules are in place" eventually 5 rules_by fw4
    check "fw4 check" router "fw4 check"
}
[ "$backend" = snapshot ] || check "the rules are as before" eventually 5 same_rules
router "ctwarden size --save" >/dev/null
if [ -x "$root/sbin/sysupgrade" ]; then
    kept_files=$(router "sysupgrade -l")
    check "sysupgrade keeps the config" has '^/etc/config/ctwarden$' "$kept_files"
    check "sysupgrade keeps the limit that was saved" has '^/etc/sysctl.d/60-ctwarden.conf$' "$kept_files"
fi
router "uci set ctwarden.main.high=85; uci commit ctwarden; reload_config"
