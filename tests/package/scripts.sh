# shellcheck shell=bash disable=SC2154,SC2016
# The package's scripts, run: on a router that is a folder, where every program that they start writes down that it was.
router=$work/router
stubs=$work/stubs
called=$work/called
mkdir -p "$stubs" "$work/image" "$router"/{etc/init.d,etc/config,usr/share/ctwarden,var/run,tmp}
stub() { # NAME [LINES]: a program that writes down its words
    printf '#!/bin/sh\necho "${0##*/} $*" >>"%s"\n%s\n' "$called" "${2-}" >"$1"
    chmod +x "$1"
}
for name in killall uci fw4 nft logger ubus; do stub "$stubs/$name"; done
for name in etc/init.d/ctwarden usr/share/ctwarden/rules; do stub "$router/$name"; done
# here FILE: the script with the router's folder before its paths. One that stays the machine's own is not run.
here() {
    sed -E "s,(^|[[:space:]\"'=>(])/(etc|usr|var|sbin|tmp)/,\\1@/\\2/,g" "$1"
    ! sed -E "s,(^|[[:space:]\"'=>(])/(etc|usr|var|sbin|tmp)/,,g" "$1" | grep -nE "(^|[^a-zA-Z0-9_./})])/(etc|usr|var|sbin|tmp)/" >&2
}
# What it is run under: nothing.
under=()
run() { # FILE [-e] [VARIABLE=VALUE]… [-- WORDS…]
    local file=$1 words=() strict=
    shift
    [ "${1-}" != -e ] || { strict=-e && shift; }
    while [ $# -gt 0 ] && [ "$1" != -- ]; do words+=("$1") && shift; done
    [ $# = 0 ] || shift
    : >"$called"
    here "$file" >"$work/script" || return 99
    sed -i "s,@/,$router/,g" "$work/script"
    "${under[@]}" env -i PATH="$stubs:/usr/bin:/bin" "${words[@]}" /bin/sh ${strict:+"$strict"} "$work/script" "$@"
}
calls() { diff <(printf '%s\n' "$@") "$called"; }
same() { diff <(echo "$1") <(echo "$2"); }

# Where all is there that they could act on.
furnished() {
    rm -rf "${router:?}"/{var/run,etc/sysctl.d}
    mkdir -p "$router/var/run/ctwarden" "$router/etc/sysctl.d"
    touch "$router/var/run/ctwarden/lock" "$router/etc/sysctl.d/60-ctwarden.conf"
    echo 'x  /var/run/config.check/network' >"$router/var/run/config.md5"
}
listing() { (cd "$router" && find . -type f | sort | xargs md5sum); }
# While an image is made, for whatever CPU, they touch nothing and start nothing: here, and in the image.
for script in postinst-pkg prerm-pkg postrm; do
    furnished
    before=$(listing)
    check "$script in an image" run "$work/nft/$script" -e IPKG_INSTROOT="$work/image"
    check "$script in an image starts nothing" test ! -s "$called"
    check "$script in an image: the builder's own files are as before" same "$before" "$(listing)"
    check "$script in an image leaves nothing there" test -z "$(ls -A "$work/image")"
done
# On a router.
furnished
check "postinst" run "$work/nft/postinst-pkg"
check "postinst: bus, config, rules, upgrade" calls "killall -HUP ubusd" "uci show ctwarden" "uci -q get ctwarden.main.shed_count" "rules put " "ctwarden restart"
check "postinst: reload_config knows the config" grep -q '/ctwarden$' "$router/var/run/config.md5"
check "postinst, again" run "$work/nft/postinst-pkg"
check "postinst: it is told once" test "$(grep -c '/ctwarden$' "$router/var/run/config.md5")" = 1
rm "$router/var/run/ctwarden/lock"
check "postinst, the first" run "$work/nft/postinst-pkg"
check "postinst, the first: procd starts it" calls "killall -HUP ubusd" "uci -q get ctwarden.main.shed_count" "rules put "
check "prerm for an upgrade" run "$work/nft/prerm-pkg" PKG_UPGRADE=1
check "prerm for an upgrade leaves all" test ! -s "$called"
check "prerm names what stays" grep -q '60-ctwarden.conf stays' <(run "$work/nft/prerm-pkg")
check "prerm: stopped before its rules go" calls "ctwarden disable" "ctwarden stop" "rules remove"
check "prerm: no state" test ! -e "$router/var/run/ctwarden"
check "postrm" run "$work/nft/postrm"
check "postrm: bus" calls "killall -HUP ubusd"

# test.sh and test-version.sh, by a program that fails where it is told to.
stub "$stubs/ctwarden" "case \$1 in --version) echo ctwarden $version ;; \"\$FAIL\") exit 1 ;; esac"
for package in ctwarden ctwarden-mini ctwarden-full; do
    check "test-version.sh $package" run openwrt/ctwarden/test-version.sh -- $package "$version-r1"
    for other in "$version.1-r1" "1$version-r1" "${version%.*}"; do
        check "test-version.sh $package: not $other" fails run openwrt/ctwarden/test-version.sh -- $package "$other"
    done
    check "test.sh $package" run openwrt/ctwarden/test.sh -- $package "$version-r1"
    for word in check drill size; do
        check "test.sh $package: with a fault of $word" fails run openwrt/ctwarden/test.sh FAIL=$word -- $package "$version-r1"
    done
done
rm "$stubs/ctwarden"
ln -s "$CARGO_TARGET_DIR/debug/ctwarden" "$stubs/ctwarden"
cp openwrt/ctwarden/files/etc/config/ctwarden "$router/etc/config/"
check "test.sh, the program itself" run openwrt/ctwarden/test.sh -- ctwarden "$version-r1"
check "test-version.sh, the program itself" run openwrt/ctwarden/test-version.sh -- ctwarden "$version-r1"
sed -i "s/option high '85'/option high '7'/" "$router/etc/config/ctwarden"
check "test.sh, the program itself: not with a fault in the config" fails run openwrt/ctwarden/test.sh -- ctwarden "$version-r1"
rm "$stubs/ctwarden"

# uci-defaults, with the real uci: its source is in a crate that the unit tests build, too.
source=$(cargo metadata --format-version 1 2>/dev/null | grep -oE '"manifest_path":"[^"]*/libuci-sys-[^"/]*/Cargo.toml"' | head -n 1)
source=${source#*:\"} source=${source%/*}
check "uci is built" cc -O1 -w -D_GNU_SOURCE -I"$source" -I"$source/uci" -o "$work/uci" \
    "$source"/uci/{cli,libuci,file,util,delta,parse}.c "$source"/libubox/{utils,blob,blobmsg,md5}.c
printf '#!/bin/sh\nexec "%s" -c "%s" -t "%s" "$@"\n' "$work/uci" "$router/etc/config" "$router/tmp/.uci" >"$stubs/uci"
defaults=openwrt/ctwarden/files/etc/uci-defaults/50-ctwarden
config=$router/etc/config/ctwarden
printf "config interface 'lan'\n\toption device 'br-lan'\n" >"$router/etc/config/network"
get() { "$stubs/uci" -q get "ctwarden.$1"; }
# after WHAT MODE: it is sourced as a boot does, ends well, and what then stands in the config is sound.
after() {
    rm -rf "${router:?}/tmp/.uci"
    check "uci-defaults, $1" run "$defaults"
    check "$1: mode 0644" test "$(stat -c %a "$config")" = 644
    check "$1: one section main, of its type" test "$(get main) $(grep -c '^config ctwarden' "$config")" = "ctwarden 1"
    check "$1: one section sizing, of its type" test "$(get sizing) $(grep -c '^config sizing' "$config")" = "sizing 1"
    check "$1: nothing is left to be committed" test -z "$("$stubs/uci" changes)"
    check "$1: no fault" "$CARGO_TARGET_DIR/debug/ctwarden" check "$config"
    check "$1: the rules, without a reload" calls "rules put-only"
    cp "$config" "$work/once"
    run "$defaults"
    check "$1: once more changes nothing" cmp "$work/once" "$config"
}
rm -f "$config"
after "no config"
: >"$config"
after "an empty config"
cp openwrt/ctwarden/files/etc/config/ctwarden "$config"
chmod 0600 "$config"
after "the config as it is shipped, of mode 0600"
check "the shipped one is left as it is, with its comments" cmp openwrt/ctwarden/files/etc/config/ctwarden "$config"
printf "config ctwarden\n\toption high '77'\nconfig sizing\n\toption max '4096'\n\toption floor '4096'\nconfig protect\n\toption port '5060'\n" >"$config"
after "anonymous sections"
check "anonymous sections keep their options" test "$(get main.high) $(get sizing.max) $(get '@protect[0].port')" = "77 4096 5060"
printf "config ctwarden 'main'\n\toption high '78'\n" >"$config"
after "a config without sizing"
check "a config without sizing keeps its options" test "$(get main.high)" = 78
# Where nothing can be written it ends well all the same, and the rules are seen to.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(--user --map-root-user)
read_only=(unshare ${as_root[@]+"${as_root[@]}"} --mount sh -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"' "$router/etc/config")
configs() { (cd "$router/etc/config" && md5sum ./*); }
writes() { "${read_only[@]}" touch "$router/etc/config/new"; }
check "the read-only folder can be made" "${read_only[@]}" true
check "the read-only folder is one" fails writes
for what in "no config" "an empty config" "anonymous sections"; do
    rm -f "$config"
    case $what in
    an*config) : >"$config" ;;
    anon*) printf "config ctwarden\n\toption high '77'\n" >"$config" ;;
    esac
    rm -rf "${router:?}/tmp/.uci"
    before=$(configs)
    under=("${read_only[@]}")
    check "uci-defaults, read-only, $what" run "$defaults"
    check "read-only, $what: nothing is left to be committed" test -z "$("$stubs/uci" changes)"
    under=()
    check "read-only, $what: it is as before" same "$before" "$(configs)"
    check "read-only, $what: the rules" calls "rules put-only"
done
# The LAN's interface.
lan() { # DEVICE: the network's; what the config then says
    printf "config interface 'lan'\n%s\n" "$1" >"$router/etc/config/network"
    cp openwrt/ctwarden/files/etc/config/ctwarden "$config"
    run "$defaults" && get main.lan
}
check "the LAN is found" test "$(lan "	option device 'eth0.1'")" = eth0.1
check "the LAN is found, with the comments left" grep -q '^# ctwarden keeps' "$config"
check "the LAN is found, as it was called before 21.02" test "$(lan "	option ifname 'eth1'")" = eth1
check "a bridge is called br-lan" test "$(lan "	option type 'bridge'
	option ifname 'eth0 eth1'")" = br-lan
check "a name that is none is not taken" test "$(lan "	option device 'a/b;c'")" = br-lan
sed -i "s/list lan 'br-lan'/list lan 'eth5'/" "$config"
check "who has said which is left alone" test "$(run "$defaults" && get main.lan)" = eth5
