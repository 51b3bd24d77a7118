#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# "make install" into a folder, and "make uninstall" of it: what was installed works from
# its place, names that place, and all of it goes.
set -euo pipefail
cd "$(dirname "$0")/.."

# Who completes what is installed.
Tests/VMLab/bootstrap.sh zsh fish

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

# What bash completes, asked as bash asks: words, where the cursor is, what it offers. Functions
# are those of a machine that has two.
in_bash() {
    bash -c '
        iopmemctl() { printf "%s\n" 0000:03:00.0 0000:04:00.0; }
        compopt() { :; }
        source "$1"
        COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=" :="
        shift 2
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        read -r _ _ function _ <<<"$(complete -p iopmemctl | sed "s/.*-F/_ -F/")"
        "$function" iopmemctl "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
        printf "%s\n" "${COMPREPLY[@]}"
    ' - "$root/opt/iopmem/share/bash-completion/completions/iopmemctl" "$@" | tr -d ' ' | sort | xargs
}
completes() {
    [ "$2" = "$3" ] || wrong "$1 completes as \"$2\" and not as \"$3\""
}
completes 'bash: de' "$(in_bash 'iopmemctl de' iopmemctl de)" 'destroy devices'
completes 'bash: --mode f' "$(in_bash 'iopmemctl create --mode f' iopmemctl create --mode f)" fsdax
completes 'bash: bind 0' "$(in_bash 'iopmemctl bind 0' iopmemctl bind 0)" '0000:03:00.0 0000:04:00.0'
# A colon ends a word for bash, and only what is behind it is put in.
completes 'bash: --device 0000:04' \
    "$(in_bash 'iopmemctl create --device 0000:04' iopmemctl create --device 0000 : 04)" 04:00.0
completes 'bash: --device 0000:' \
    "$(in_bash 'iopmemctl create --device 0000:' iopmemctl create --device 0000 :)" '03:00.0 04:00.0'
completes 'bash: devices 0000:03:00.0 0000:0' \
    "$(in_bash 'iopmemctl devices 0000:03:00.0 0000:0' iopmemctl devices 0000 : 03 : 00.0 0000 : 0)" \
    '03:00.0 04:00.0'

# zsh completes where somebody types, and not elsewhere.
# shellcheck disable=SC2016 # zsh's own variables
timeout 60 zsh -f -c '
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "PS1=; unset zle_bracketed_paste; PATH=$1:\$PATH; fpath=($2 \$fpath)"
    zpty -w shell "autoload -Uz compinit; compinit -u -D; echo rea\"\"dy"
    zpty -r shell said "*ready*"
    zpty -w -n shell "iopmemctl create --mode f"$'"'\\t'"'
    zpty -r shell said "*fsdax*"
' - "$root/opt/iopmem/sbin" "$root/opt/iopmem/share/zsh/site-functions" ||
    wrong 'zsh does not complete "--mode f"'

in_fish() {
    # shellcheck disable=SC2016 # fish's own variable
    PATH=$root/opt/iopmem/sbin:$PATH XDG_DATA_DIRS=$root/opt/iopmem/share HOME=$root \
        fish -c 'complete -C "$argv"' -- "$1" | cut -f 1 | sort | xargs
}
completes 'fish: de' "$(in_fish 'iopmemctl de')" 'destroy devices'
completes 'fish: --mode f' "$(in_fish 'iopmemctl create --mode f')" 'fsdax'

installed uninstall
left=$(find "$root" -type f)
[ -z "$left" ] || wrong "left behind: $left"
