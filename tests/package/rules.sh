# shellcheck shell=bash disable=SC2154,SC2016
# /usr/share/ctwarden/rules, which puts snippets beside the firewall's: with an nft that refuses what it is told to, and an fw4
# that fails when it is told to. After each, what lies where fw4 includes it.
into=$router/usr/share/nftables.d
rm -rf "${router:?}/usr/share"
mkdir -p "$router/usr/share/ctwarden" "$router/sbin"
cp -r openwrt/ctwarden/files/usr/share/nftables.d "$router/usr/share/ctwarden/"
# A table fw4 is there where $LOADED says so, with the set in it where $SETS does. $REFUSED: what this kernel does not take.
stub "$stubs/nft" "case \"\$*\" in
'-c -f -') [ -z \"\$REFUSED\" ] && cat >\"$work/tried\" || ! grep -q \"\$REFUSED\" ;;
'list tables inet') [ -z \"\$LOADED\" ] || echo 'table inet fw4' ;;
'list set inet fw4 ctwarden_all') [ -n \"\$SETS\" ] ;;
'list sets inet') printf 'table inet fw4 {\\n\\tset ctwarden_all {\\n\\tset other {\\n}\\ntable inet mine {\\n\\tset ctwarden_all {\\n}\\n' ;;
esac"
# FW4: sound; always fails; or `ours`: with our snippets only.
stub "$stubs/fw4" "case \"\$* \$FW4\" in
'-q check fails') false ;;
'-q check ours') [ -z \"\$(find '$into' -name '*ctwarden*')\" ] ;;
esac"
cp "$stubs/fw4" "$router/sbin/"
stub "$stubs/uci" 'echo "$INCLUDES"'
rules=openwrt/ctwarden/files/usr/share/ctwarden/rules
base=$(cd openwrt/ctwarden/files/usr/share/nftables.d && find . -type f | sort)
counted=$(sort <<<"$base"$'\n'./table-pre/51-ctwarden-count.nft)
lies() { same "$1" "$([ ! -d "$into" ] || (cd "$into" && find . -type f | sort))"; }
says() { grep -qE -- "$1" "$called" || { cat "$called" && false; }; }
silent() { ! says '^logger '; }
fw4s() { same "$1" "$(sed -n 's/^fw4 -q //p' "$called" | xargs)"; }
afresh() { rm -rf "$into"; }

afresh
check "rules put" run $rules LOADED=1 -- put 0
check "all are there" lies "$base"
check "they are whole" diff -r openwrt/ctwarden/files/usr/share/nftables.d "$into"
check "they may be read" test -z "$(find "$into" -type f ! -perm 644)"
check "all have been tried" test "$(grep -c 'limit rate over' "$work/tried")" -ge 4
for hook in prerouting output input forward; do check "tried where they go: $hook" grep -q "type filter hook $hook " "$work/tried"; done
check "checked, loaded" fw4s "check reload"
check "nothing is said" silent
check "rules put, again" run $rules LOADED=1 SETS=1 -- put 0
check "again: fw4 is left alone" fw4s ""
check "rules put, its sets lost" run $rules LOADED=1 -- put 0
check "sets lost: loaded anew" fw4s "check reload"
afresh
check "rules put, no firewall loaded" run $rules -- put 0
check "no firewall loaded: it stays so" fw4s check
check "rules put-only" run $rules LOADED=1 -- put-only
check "put-only: neither check nor reload" fw4s ""

check "rules put 64" run $rules LOADED=1 SETS=1 -- put 64
check "64: counting is there too" lies "$counted"
check "64: as many" grep -q 'ct count over 64 ' "$into/table-pre/51-ctwarden-count.nft"
check "64: loaded" fw4s "check reload"
check "64: no file of its own is left" test -z "$(find "$router/tmp" -name "*count*")"
check "rules put 32" run $rules LOADED=1 SETS=1 -- put 32
check "32: as many" grep -q 'ct count over 32 ' "$into/table-pre/51-ctwarden-count.nft"
check "rules put 0" run $rules LOADED=1 SETS=1 -- put 0
check "0: counting is gone, the others stay" lies "$base"
check "0: loaded" fw4s "check reload"

# Without kmod-nft-connlimit.
afresh
check "ct count refused" run $rules LOADED=1 "REFUSED=ct count" -- put 64
check "ct count refused: all but that" lies "$base"
check "ct count refused: it is said" says 'logger .*kmod-nft-connlimit'
run $rules LOADED=1 -- put 64
check "ct count refused from now on" run $rules LOADED=1 SETS=1 "REFUSED=ct count" -- put 64
check "ct count refused from now on: it is taken out" lies "$base"
check "ct count refused from now on: loaded without" fw4s "check reload"

# A kernel without fib, an nft of another time.
check "the rules refused" fails run $rules LOADED=1 "REFUSED=fib" -- put 64
check "the rules refused: what was there is taken out" lies ""
check "the rules refused: it is said" says 'logger .*kmod-nft-fib'
check "the rules refused: fw4 is loaded without" says '^fw4 -q reload'
check "the rules refused, at the first boot" fails run $rules "REFUSED=fib" -- put-only
check "the rules refused, at the first boot: none are there" lies ""

# fw4 check.
afresh
check "fw4 check fails with ours" fails run $rules LOADED=1 FW4=ours -- put 64
check "with ours: none are left" lies ""
check "with ours: no folder either" test ! -e "$into/table-pre"
check "with ours: it is said" says 'logger .*ours are taken out again'
check "with ours: no reload" fw4s "check check"
check "fw4 check fails always" fails run $rules LOADED=1 FW4=fails -- put 64
check "always: none are left" lies ""
check "always: it is said whose fault it is not" says 'logger .*ours are not put beside them'
check "always: no reload" fw4s "check check"
# The owner's own stay, whatever becomes of ours.
mkdir -p "$into/table-pre"
echo "set mine { type ipv4_addr; }" >"$into/table-pre/10-mine.nft"
run $rules LOADED=1 FW4=ours -- put 64
check "with ours: the owner's stay" lies ./table-pre/10-mine.nft
run $rules LOADED=1 -- put 64
check "rules remove" run $rules LOADED=1 -- remove
check "remove: the owner's stay" lies ./table-pre/10-mine.nft
check "remove: chain and sets behind the reload, ours in fw4 alone" calls "nft list tables inet" "fw4 -q reload" \
    "nft delete chain inet fw4 ctwarden_new" "nft list sets inet" "nft delete set inet fw4 ctwarden_all"
check "rules remove, no firewall loaded" run $rules -- remove
check "remove, no firewall loaded: fw4 is left alone" fw4s ""

# auto_includes.
for off in 0 no off false disabled; do
    afresh
    check "auto_includes $off" run $rules LOADED=1 INCLUDES=$off -- put 64
    check "auto_includes $off: none are there" lies ""
    check "auto_includes $off: it is said" says 'logger .*auto_includes is off'
    check "auto_includes $off: fw4 is left alone" fw4s ""
done
for on in 1 ''; do
    afresh
    run $rules LOADED=1 INCLUDES=$on -- put 0
    check "auto_includes '$on': all are there" lies "$base"
done
rm "$router/sbin/fw4"
afresh
check "no fw4" run $rules -- put 64
check "no fw4: nothing is done" test "$(lies "" && cat "$called")" = ""
check "rules, what it takes" fails run $rules -- puts
