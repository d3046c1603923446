# shellcheck shell=bash disable=SC2154,SC2016
# A real OpenWrt userspace on this machine's kernel: init, procd, ubusd, netifd, the firewall, in namespaces of their own, with
# a LAN and a WAN host. Sourced by run. Nothing leads outside.
#
#   router: lan0 10.77.0.1/24 fd00:77::1/64, wan0 10.78.0.1/16    LAN host: 10.77.0.2 fd00:77::2    WAN host: 10.78.0.2

names=ctwarden-openwrt-$$
root=$work/root

# Only the base services are started: an image's own may call home.
keep=" boot system sysctl log rpcd dropbear network firewall uhttpd umount done sysfixtime ucitrack ctwarden "

# unpack ROOTFS: an archive, or a folder.
unpack() {
    mkdir -p "$root"
    if [ -d "$1" ]; then cp -a "$1"/. "$root"; else tar x -C "$root" -f "$1"; fi || return 1
    [ -f "$root/etc/openwrt_release" ] || die "$1 is no OpenWrt root file system"
}

furnish() {
    local script name
    for script in "$root"/etc/rc.d/*; do
        name=${script##*/} name=${name#[SK][0-9][0-9]}
        [[ $keep == *" $name "* ]] || rm -f "$script"
    done
    rm -f "$root"/etc/crontabs/*
    rm -rf "${root:?}/var"
    ln -s tmp "$root/var"
    mkdir -p "$root"/{proc,sys,dev,tmp,root,mnt,overlay}
    cat >"$root/etc/config/network" <<-'EOF'
	config interface 'loopback'
		option device 'lo'
		option proto 'static'
		option ipaddr '127.0.0.1'
		option netmask '255.0.0.0'
	config interface 'lan'
		option device 'lan0'
		option proto 'static'
		option ipaddr '10.77.0.1'
		option netmask '255.255.255.0'
		option ip6addr 'fd00:77::1/64'
	config interface 'wan'
		option device 'wan0'
		option proto 'static'
		option ipaddr '10.78.0.1'
		option netmask '255.255.0.0'
	EOF
    # The program is this machine's, whatever the image is for.
    arch=$(sed -n "s/^DISTRIB_ARCH='\(.*\)'/\1/p" "$root/etc/openwrt_release")
    printf 'arch %s\n' 'all 1' 'noarch 1' "$arch 10" 'x86_64 20' | sort -u >>"$root/etc/opkg.conf"
    # Before 21.02 it was called so.
    ! grep -q "DISTRIB_RELEASE='1[0-9]" "$root/etc/openwrt_release" ||
        sed -i 's/option device/option ifname/' "$root/etc/config/network"
    sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
    [ ! -f "$root/etc/config/uhttpd" ] || sed -i "s/option rfc1918_filter '1'/option rfc1918_filter '0'/" "$root/etc/config/uhttpd"
}

# The kernel's log as a router has it: for root alone.
boot() {
    local side i
    for side in router lan wan; do ip netns add "$names-$side" || return 1; done
    ip link add lan0 netns "$names-router" type veth peer name eth0 netns "$names-lan"
    ip link add wan0 netns "$names-router" type veth peer name eth0 netns "$names-wan"
    for side in lan wan; do
        ip -n "$names-$side" link set lo up
        ip -n "$names-$side" link set eth0 up
    done
    ip -n "$names-lan" addr add 10.77.0.2/24 dev eth0
    ip -n "$names-lan" addr add fd00:77::2/64 dev eth0 nodad
    ip -n "$names-lan" route add default via 10.77.0.1
    ip -n "$names-wan" addr add 10.78.0.2/16 dev eth0
    ip netns exec "$names-router" unshare --mount --uts --ipc --pid --fork --kill-child bash -c '
        mount --make-rprivate / && mount --bind "$0" "$0" && cd "$0" || exit 1
        mount -t proc proc proc; mount -t sysfs sys sys; mount -t tmpfs tmp tmp; mount -t tmpfs dev dev
        mkdir -p tmp/run tmp/lock tmp/log tmp/etc dev/pts dev/shm
        while read -r name major minor; do mknod -m 666 dev/$name c $major $minor; done <<-EOF
			null 1 3
			zero 1 5
			full 1 7
			random 1 8
			urandom 1 9
			tty 5 0
			console 5 1
			kmsg 1 11
		EOF
        chmod 600 dev/kmsg
        mount -t devpts devpts dev/pts
        exec chroot . /sbin/init' "$root" >"$work/init.log" 2>&1 &
    outer=$!
    for ((i = 0; i < 60; i++)); do
        init=$(pgrep -P "$outer" | head -1)
        [ -z "$init" ] || { router "ubus -t 20 wait_for network.interface.lan && logread | grep -q 'init complete'" >/dev/null 2>&1 && return; }
        sleep 0.5
    done
    tail "$work/init.log" >&2
    return 1
}

# router WORDS: runs them in the router's shell. lan, wan PROGRAM…: on the hosts, with this machine's programs.
router() {
    PATH=/usr/sbin:/usr/bin:/sbin:/bin nsenter -t "$init" -m -u -i -n -p --root --wd /bin/sh -c "$*" </dev/null
}
lan() { ip netns exec "$names-lan" "$@"; }
wan() { ip netns exec "$names-wan" "$@"; }

# The init script's own end takes everything in its namespaces along.
take_down() {
    local side
    for side in router lan wan; do ip netns pids "$names-$side" | xargs -r kill -9; done
    [ -z "${init-}" ] || kill -9 "$init"
    [ -z "${outer-}" ] || { kill -9 "$outer"; wait "$outer"; }
    for side in router lan wan; do ip netns del "$names-$side"; done
    rm -rf "$work"
} 2>/dev/null
