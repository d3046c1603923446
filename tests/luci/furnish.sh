# shellcheck shell=dash
# Runs on the router: whom it knows, and who may only look. $1 hog, $2 phone: addresses; $3: what the hog calls itself.
hog=$1 phone=$2 name=$3
until=$(($(date +%s) + 9999))
printf '%s 02:00:00:00:00:20 %s phone *\n%s 02:00:00:00:00:66 %s %s *\n' $until "$phone" $until "$hog" "$name" >/tmp/dhcp.leases
grep -q '^guest:' /etc/passwd || {
	echo 'guest:x:1500:1500:guest:/tmp:/bin/false' >>/etc/passwd
	echo 'guest:x:0:0:99999:7:::' >>/etc/shadow
	printf 'guest\nguest\n' | passwd guest
}
uci -q get rpcd.guest && exit
uci -q batch <<-EOF
	set rpcd.guest=login
	set rpcd.guest.username=guest
	set rpcd.guest.password=\$p\$guest
	add_list rpcd.guest.read=*
	commit rpcd
EOF
/etc/init.d/rpcd restart
