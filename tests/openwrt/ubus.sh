# shellcheck shell=bash disable=SC2154
# The object on the bus, and who may call what.

# bus_as USER WORDS: `ubus WORDS` as that user, "" where there is none.
bus_as() {
    local user=$1 ids
    shift
    ids=$(awk -F: -v u="$user" '$1 == u { print $3, $4 }' "$root/etc/passwd")
    [ -n "$ids" ] || { echo "no user $user" && return 1; }
    PATH=/usr/sbin:/usr/bin:/sbin:/bin nsenter -t "$init" -m -u -i -n -p --root --wd -S "${ids% *}" -G "${ids#* }" /bin/ubus -t 5 "$@"
}
check "the object ctwarden" eventually 5 router "ubus list ctwarden"
signature=$(router "ubus -v list ctwarden")
for method in status top size check history incidents trim shed flush open close drill reload metrics; do
    check "a signature of $method" has "\"$method\":\{" "$signature"
done
for method in flush open; do
    check "$method wants a boolean for confirm" has "\"$method\":\{.*\"confirm\":\"Boolean\"" "$signature"
done
check "root may ask for the status" has '"max"' "$(router 'ubus call ctwarden status')"
check "a flush without confirm is refused" not router "ubus call ctwarden flush '{}'"
check "a flush for show touches nothing" router "ubus call ctwarden flush '{\"dry_run\":true}'"
if [ -n "$jail" ]; then
    check "the daemon's user may ask rpcd for a name" bus_as ctwarden list session
    check "the daemon's user may not call anything else" not bus_as ctwarden call system board
fi
router "ubus call ctwarden close"
check "who has called is in the incidents, with the group" has '"who": "user root:root"' "$(router 'ubus call ctwarden incidents')"
check "nobody may not call it" not bus_as nobody call ctwarden status

# A web session, from the LAN, by HTTP: what LuCI's package lets each group call.
web() {
    lan curl -s -m 10 http://10.77.0.1/ubus -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call\",\"params\":[\"$1\",\"$2\",\"$3\",$4]}"
}
login() { web 00000000000000000000000000000000 session login "{\"username\":\"$1\",\"password\":\"$2\"}" | sed -n 's/.*"ubus_rpc_session":"\([0-9a-f]*\)".*/\1/p'; }
if [ -e "$root/usr/share/rpcd/acl.d/luci-app-ctwarden.json" ]; then
    # Both log in as root does, who has no password here.
    for user in reader writer; do
        router "uci set rpcd.$user=login; uci set rpcd.$user.username=$user; uci set rpcd.$user.password='\$p\$root'
            uci add_list rpcd.$user.read=luci-app-ctwarden
            [ $user = reader ] || uci add_list rpcd.$user.write=luci-app-ctwarden; uci commit rpcd"
    done
    router "/etc/init.d/rpcd restart"
    sleep 2
    reader=$(login reader "") writer=$(login writer "")
    check "a reader logs in by HTTP" has '^[0-9a-f]{32}$' "$reader"
    check "a writer logs in by HTTP" has '^[0-9a-f]{32}$' "$writer"
    check "a reader may ask for the status" has '"max"' "$(web "$reader" ctwarden status '{}')"
    check "a reader may not flush" has '"error"' "$(web "$reader" ctwarden flush '{"confirm":true}')"
    check "a writer may flush" has '"result":\[0' "$(web "$writer" ctwarden flush '{"confirm":true}')"
    check "without a session nothing is told" has '"error"' "$(web 00000000000000000000000000000000 ctwarden status '{}')"
    check "the writer is named in the incidents" has writer "$(router 'ubus call ctwarden incidents')"
    check "the session is not" hasnt "${writer:-none}" "$(router 'ubus call ctwarden incidents; logread')"
else
    echo "not tried: a web session (luci-app-ctwarden is not among the packages)"
fi
