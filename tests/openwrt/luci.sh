# shellcheck shell=bash disable=SC2154
# The web pages in the router's own LuCI, by a browser on its LAN: the walk of tests/luci/walk.mjs, every page and button.
browser=${CARGO_TARGET_DIR:-$here/../../target}/luci
if [ ! -e "$root/www/luci-static/resources/ctwarden.js" ]; then
    echo "not tried: luci-app-ctwarden is not among the packages"
elif [ ! -d "$browser/node_modules/playwright-core" ] || ! command -v chromium >/dev/null; then
    echo "not tried: there is no browser (tests/luci/run sees to that)"
else
    browser=$(realpath "$browser")
    kept=$work/before-luci
    mkdir "$kept"
    cp -a "$root"/etc/{passwd,shadow,group,config/rpcd,config/ctwarden} "$kept"
    # As it is shipped, and with a whole budget: what was tried before has used it up.
    sed "s/'br-lan'/'lan0'/" "$here/../../openwrt/ctwarden/files/etc/config/ctwarden" >"$root/etc/config/ctwarden"
    router "/etc/init.d/ctwarden restart"
    found=$(cat "$limit")
    echo 16384 >"$limit"
    # One that ends early, or walks nowhere, has failed: it says at the end how many steps there were.
    walked=0 ended=
    while read -r word rest; do
        case $word in
        ok) walked=$((walked + 1)) passed=$((passed + 1)) && echo "ok      $rest" ;;
        FAILED) walked=$((walked + 1)) failed=$((failed + 1)) && echo "FAILED  $rest" ;;
        *) [[ $rest != "passed, "*" failed" ]] || { read -r _ bad _ <<<"$rest" && ended=$((word + bad)); } ;;
        esac
    done < <(lan node "$here/../luci/real.mjs" "$browser" http://10.77.0.1 \
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin nsenter -t $init -m -u -i -n -p --root --wd /bin/sh -c" "$init" 2>"$work/luci.log")
    # All of the walk, and one step that only a real router has.
    whole() {
        echo "$walked steps, it says: ${ended:-nothing}"
        tail -n 20 "$work/luci.log"
        [ "$walked" = "$(($(grep -cE "^[[:space:]]async '" "$here/../luci/walk.mjs") + 1))" ] && [ "$ended" = "$walked" ]
    }
    check "the walk was whole: $walked steps" whole
    echo "$found" >"$limit"
    found=
    cp -a "$kept"/{passwd,shadow,group} "$root/etc/"
    rm -f "$root"/etc/{passwd,shadow,group}-
    cp -a "$kept"/{rpcd,ctwarden} "$root/etc/config/"
    router "rm -f /tmp/dhcp.leases; /etc/init.d/rpcd restart; reload_config"
fi
