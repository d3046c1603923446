# shellcheck shell=bash
# What the scripts of cross/ and tests/ share. Sourced, not run.
cross=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# die WORDS: one line that says what is wrong and what to do about it.
die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# need COMMAND:PACKAGE…: installs the Debian packages whose commands are missing. Asks apt nothing when all are there.
need() {
    local pair missing=()
    for pair; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    need_packages ${missing[@]+"${missing[@]}"}
}

# need_packages PACKAGE…: installs them. --no-install-recommends matters: qemu-user recommends a binfmt registration, which
# would run foreign programs behind a test's back.
need_packages() {
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "missing: $* (Debian packages; run as root to have them installed)"
    fi
    echo "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || die "apt-get could not read the list of packages"
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null || die "apt-get could not install: $*"
}

# need_linker: what rustc links a program for this machine with. gcc only recommends the C library's start files.
need_linker() {
    need cc:gcc
    [ "$(cc -print-file-name=crt1.o)" != crt1.o ] || need_packages libc6-dev
}

# need_rust: rustup is the one thing that is not installed here, since Debian 12 has no package of it.
need_rust() {
    command -v rustup >/dev/null || PATH=$PATH:$HOME/.cargo/bin
    command -v rustup >/dev/null || die "needs a Rust toolchain, 1.92 or later, managed by rustup (which Debian 12 has no package of)"
}

# need_component NAME…, need_target TRIPLE…: parts of the toolchain in use. `rustup … list` does not reach for the network.
need_component() {
    local c installed
    installed=$(rustup component list --installed)
    for c; do
        grep -Eq "^$c(-|$)" <<<"$installed" || rustup component add "$c" || die "rustup could not add the component $c"
    done
}
need_target() {
    local t installed
    installed=$(rustup target list --installed)
    for t; do
        grep -qx "$t" <<<"$installed" || rustup target add "$t" || die "rustup could not add the target $t"
    done
}

# target_field NAME COLUMN: one field of cross/targets; fails for a name or a field that is not there.
target_field() {
    awk -v n="$1" -v c="$2" '$1 == n && $c != "" { print $c; found = 1 } END { exit !found }' "$cross/targets"
}
