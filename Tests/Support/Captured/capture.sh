#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Writes what iopmemctl reads of a machine to stdout, one entry a line:
#
#     L path target        a symbolic link
#     F path text          a file; a newline is \n, a backslash \\
#     X path hex           a binary file, up to 256 bytes
#     D path               a directory without entries of interest
#
# The fields are separated by tabs. To be run as root in a guest.

link() {
	[ -L "$1" ] && printf 'L\t%s\t%s\n' "$1" "$(readlink "$1")"
}

file() {
	[ -f "$1" ] && [ -r "$1" ] || return 0
	printf 'F\t%s\t%s\n' "$1" "$(sed -e 's/\\/\\\\/g' "$1" 2>/dev/null | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }')"
}

hex() {
	printf 'X\t%s\t%s\n' "$1" "$(od -An -v -tx1 -N 256 "$1" | tr -d ' \n')"
}

disk() {
	for name in dev size partition start; do file "$1/$name"; done
	printf 'D\t%s/holders\n' "$1"
	for holder in "$1"/holders/*; do link "$holder"; done
	for part in "$1"/*; do
		[ -f "$part/partition" ] && disk "$part"
	done
}

for entry in /sys/bus/pci/devices/*; do
	link "$entry"
	device=$(readlink -f "$entry")
	for name in vendor device class resource irq numa_node driver_override; do
		file "$device/$name"
	done
	hex "$device/config"
	link "$device/driver"
done
for driver in /sys/bus/pci/drivers/*; do
	printf 'D\t%s\n' "$driver"
done
for entry in /sys/class/iopmem/*; do
	[ -e "$entry" ] || continue
	link "$entry"
	object=$(readlink -f "$entry")
	link "$object/device"
	for name in "$object"/*; do
		case ${name##*/} in
		dev|power|subsystem|device) ;;
		*) file "$name" ;;
		esac
	done
done
for entry in /sys/class/block/*; do
	link "$entry"
	real=$(readlink -f "$entry")
	[ -f "$real/partition" ] || disk "$real"
done
for entry in /sys/class/net/*; do
	link "$entry"
	file "$(readlink -f "$entry")/flags"
done
for name in /proc/self/mountinfo /proc/swaps /proc/meminfo /proc/cmdline /proc/mtrr \
	/sys/module/iopmem/version /sys/kernel/security/lockdown /run/udev/data/b259:*; do
	file "$name"
done
