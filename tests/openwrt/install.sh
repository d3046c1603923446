# shellcheck shell=bash disable=SC2154,SC2034
# The package is installed with opkg, and procd has started it.
files_before=$(files) rules_before=$(rules) sysctls_before=$(sysctls)

packages=
for package; do
    cp "$package" "$root/root/"
    packages+=" /root/${package##*/}"
done
# Its kernel modules are in this machine's kernel.
said=$(router "opkg install --force-depends $packages" 2>&1)
status=$?
rm -f "$root"/root/*.ipk
show "$said"
check "opkg install ends well" test $status = 0
check "procd has started it" eventually 5 answers
check "one daemon" one_daemon
check "it starts at boot" test -L "$root/etc/rc.d/S20ctwarden"
check "config of mode 0644" has '^-rw-r--r--' "$(ls -l "$root/etc/config/ctwarden")"
check "uci-defaults are done with" test ! -e "$root/etc/uci-defaults/50-ctwarden"
check "the LAN's interface is found" has "'lan0'" "$(router 'uci show ctwarden.main.lan')"
check "no fault in the config" router "/etc/init.d/ctwarden check"
if [ -n "$fw4" ]; then
    check "fw4 check" router "fw4 check"
    check "the rules are in place, by fw4" rules_by fw4
    check "the sets are in inet fw4" router "nft list set inet fw4 ctwarden_router"
fi
# Without xt_recent iptables has no leases, and somebody must be alive.
backend=$(router 'ctwarden status' | sed -n 's/^rules  *\([a-z0-9]*\).*/\1/p')
check "a back end is found: $backend" has '^(fw4|nft|iptables|snapshot)$' "$backend"
[ "$backend" = snapshot ] || check "the lifeline is on" has '^lifeline +on' "$(router 'ctwarden status')"
# Before 19.07 there is no such command: the log says it.
if ! grep -q status_service "$root/etc/rc.common"; then
    check "the log says what it runs as" has 'runs as root: ' "$(router logread)"
elif [ -n "$jail" ] && { [ -n "$fw4" ] || [ "$backend" = nft ]; }; then
    check "status says what it runs as" has '^runs as +ctwarden, in a jail' "$(router '/etc/init.d/ctwarden status')"
else
    check "status says what it runs as" has '^runs as +root: ' "$(router '/etc/init.d/ctwarden status')"
fi
show "$(router '/etc/init.d/ctwarden status 2>&1 || ctwarden status')"
