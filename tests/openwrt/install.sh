# shellcheck shell=bash disable=SC2154,SC2034
# The package is installed with opkg, and procd has started it.
files_before=$(files) rules_before=$(rules) sysctls_before=$(sysctls)

packages=
for package; do
    cp "$package" "$root/root/"
    packages+=" /root/${package##*/}"
done
# Its kernel modules are in this machine's kernel. Of an older 32-bit image, this machine's programs run too.
arch=$(sed -n "s/^DISTRIB_ARCH='\(.*\)'/\1/p" "$root/etc/openwrt_release")
said=$(router "opkg --add-arch all:1 --add-arch noarch:1 --add-arch $arch:10 --add-arch x86_64:20 install --force-depends $packages" 2>&1)
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
    check "the rules are in place, by fw4" has '^rules +fw4$' "$(router 'ctwarden status')"
    check "the sets are in inet fw4" router "nft list set inet fw4 ctwarden_router"
else
    check "the rules are in place, by iptables" has '^rules +iptables$' "$(router 'ctwarden status')"
fi
check "the lifeline is on" has '^lifeline +on' "$(router 'ctwarden status')"
show "$(router '/etc/init.d/ctwarden status 2>&1 || ctwarden status')"
