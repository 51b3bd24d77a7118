#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The lab's hand in the guest: takes commands from a virtio-serial port of its
# own and answers with their exit status and output, byte for byte.
#
# host to guest   ID SECONDS BASE64-OF-A-BASH-SCRIPT, which ends with the first
#                 command that fails (bash -e)
# guest to host   ready KERNEL-RELEASE
#                 ID STATUS LENGTH-OF-STDOUT LENGTH-OF-STDERR, then the bytes
#
# Commands run side by side. The port has one reader and one writer at a time:
# the loop below reads, and answers take turns with a lock.
set -u

# The tools folder comes as the first argument.
PATH=$1:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
LC_ALL=C.UTF-8
TERM=dumb
export PATH HOME LC_ALL TERM

work=/run/iopmem-lab
mkdir -p "$work/home"
# What programs leave in their folder must not meet the host's.
cd "$work/home" || exit 1

# The kernel's joining of small pages into large ones has the least priority. Where a
# scenario keeps every processor of a slow machine busy, it is stopped in the middle, for
# so long that the kernel reports a stall of RCU. Once an hour is enough.
joining=/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
[ ! -e "$joining" ] || echo 3600000 >"$joining"

# Every session has the same share of the processors, however nice its programs are; a load
# that is to give way to what it is a load for would take most of them.
sessions=/proc/sys/kernel/sched_autogroup_enabled
[ ! -e "$sessions" ] || echo 0 >"$sessions"

execute() {
    base64 -d <"$work/$1.base64" >"$work/$1.sh"
    # The first line marks in the kernel log what was going on.
    IFS= read -r line <"$work/$1.sh"
    printf '<6>iopmem-lab: %.120s\n' "$line" >/dev/kmsg
    timeout --kill-after=5 "$2" bash -e "$work/$1.sh" \
        >"$work/$1.out" 2>"$work/$1.err" </dev/null 8<&-
    status=$?
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        # Who is blocked, and where: that is the first thing one asks.
        echo w >/proc/sysrq-trigger
    fi
    (
        flock 9
        {
            sizes=$(stat --printf '%s ' "$work/$1.out" "$work/$1.err")
            printf '%s %s %s\n' "$1" "$status" "$sizes"
            cat "$work/$1.out" "$work/$1.err"
        } >&8
    ) 9>"$work/lock"
    rm -f "$work/$1".*
}

exec 8<>/dev/virtio-ports/iopmem.agent || exit 1
echo "ready $(uname -r)" >&8
while IFS=' ' read -r id seconds script <&8; do
    printf '%s' "$script" >"$work/$id.base64"
    execute "$id" "$seconds" &
done
# The host has gone, and nobody is left to want this machine.
poweroff -f
