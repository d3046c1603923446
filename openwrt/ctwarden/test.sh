#!/bin/sh
# Called on a target by those who try packages: test.sh PACKAGE VERSION.
case $1 in
ctwarden | ctwarden-mini | ctwarden-full)
	ctwarden check /etc/config/ctwarden && ctwarden drill >/dev/null && ctwarden size --ram 128 >/dev/null
	;;
esac
