# shellcheck shell=bash disable=SC2154,SC2016
# What the daemon tells others from within its jail, and what the init script does when it is asked to: both by effect.
mkdir -p "$root/etc/hotplug.d/ctwarden"
echo 'echo "$ACTION $REASON $COUNT/$MAX $CULPRIT by $(id -u)" >>/tmp/hooked' >"$root/etc/hotplug.d/ctwarden/50-told"
PATH=/usr/sbin:/usr/bin:/sbin:/bin nsenter -t "$init" -m -u -i -n -p --root --wd /bin/ubus listen ctwarden </dev/null >"$work/heard" 2>&1 &
children+=($!)
hooked() { has "$1" "$(router 'cat /tmp/hooked')"; }
heard() { has "$1" "$(cat "$work/heard")"; }
sleep 0.5

entries() { router "grep -c 'src=$1 ' /proc/net/nf_conntrack || true"; }
script() { router "/etc/init.d/ctwarden $*"; }
script flush >/dev/null
arrive
check "400 entries of the LAN's are there" between 400 "$(entries 10.77.0.2)" 420
check "init script: top names who holds them" has '10\.77\.0\.2' "$(script top)"
check "init script: top, with its words" has '10\.78\.0\.2:9000/udp' "$(script top --by destination)"
script trim --source 10.77.0.2 >/dev/null
check "init script: trim --source evicts them" between 0 "$(entries 10.77.0.2)" 40
arrive
script flush >/dev/null
check "init script: flush empties the table" between 0 "$(entries 10.77.0.2)" 20
check "kept out before" kept_out
script open --scope all --for 600 >/dev/null
check "init script: open lets in" let_in
check "the event of it, on the bus" eventually 4 heard '"ctwarden": *\{.*open'
check "a script in hotplug.d is called, by root and out of the jail" eventually 4 hooked '^open all [0-9]+/[0-9]+ .*by 0$'
check "the daemon says so in the log, by its own name" has 'daemon\.[a-z]+ ctwarden\[[0-9]+\]: .*the firewall is open \(all\) for ' "$(router logread)"
script close >/dev/null
check "init script: close keeps out" kept_out
check "the event of it, too" eventually 4 heard '"ctwarden": *\{.*close'
check "the script of it, too" eventually 4 hooked '^close .*by 0$'
rm "$root/etc/hotplug.d/ctwarden/50-told"
check "the end of it in the log" has 'ctwarden\[[0-9]+\]: .*closed \(all\) after ' "$(router logread)"
echo "	option high '7'" >>"$root/etc/config/ctwarden"
check "init script: check finds a fault" not script check
sed -i '$d' "$root/etc/config/ctwarden"
check "init script: check finds none" script check
