#!/bin/sh
# Called like test.sh: the program says the version of its package, which has a release behind it.
case $1 in
ctwarden | ctwarden-mini | ctwarden-full)
	[ "$(ctwarden --version)" = "ctwarden ${2%-r*}" ]
	;;
esac
