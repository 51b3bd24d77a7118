#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# "make install" into a folder, and "make uninstall" of it: what was installed works from
# its place, names that place, and all of it goes.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
installed() {
    make --no-print-directory "$1" DESTDIR="$root" PREFIX=/opt/iopmem >"$root.log" 2>&1 || {
        cat "$root.log"
        exit 1
    }
    rm "$root.log"
}
wrong() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

installed install
tool=$root/opt/iopmem/sbin/iopmemctl
grep -q "^$("$tool" --version)\$" <(sed -n 's/^#define IOPMEM_VERSION.*"\(.*\)"$/\1/p' kmod/iopmem.h) ||
    wrong "$tool is of another version than the driver"

# Each call of the tool is of the one that was installed.
calls=$(grep -rhoE '[^ "=]*sbin/iopmemctl' "$root/etc" | sort -u)
[ "$calls" = /opt/iopmem/sbin/iopmemctl ] || wrong "rules and units call $calls"

for page in man/*; do
    cmp -s <(sed 's,/usr/sbin/iopmemctl,/opt/iopmem/sbin/iopmemctl,' "$page") \
        "$root/opt/iopmem/share/man/man${page##*.}/${page##*/}" || wrong "$page is not there"
done

# What bash completes, asked as bash asks.
completed=$(bash -c '
    source "$1"
    COMP_WORDS=(iopmemctl de) COMP_CWORD=1 COMP_LINE="iopmemctl de" COMP_POINT=12
    read -r _ _ function _ <<<"$(complete -p iopmemctl | sed "s/.*-F/_ -F/")"
    "$function" iopmemctl de iopmemctl
    printf "%s\n" "${COMPREPLY[@]}"
' - "$root/opt/iopmem/share/bash-completion/completions/iopmemctl" | sort | tr -d ' ' | tr '\n' ' ')
[ "$completed" = 'destroy devices ' ] || wrong "bash completes \"de\" as: $completed"

installed uninstall
left=$(find "$root" -type f)
[ -z "$left" ] || wrong "left behind: $left"
