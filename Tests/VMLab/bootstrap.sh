#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Brings a Debian machine with a Swift toolchain to the point where the tool can
# be built and the lab can run: packages through apt, virtme-ng in a Python
# environment in the cache folder. Does nothing, quickly, when all is there.
# Arguments are more packages, for what only one command uses.
set -eu

repository=$(cd "$(dirname "$0")/../.." && pwd)
cache=$repository/.cache
venv=$cache/venv
log=$cache/bootstrap.log

# What the Swift packages link with.
packages="pkg-config libpci-dev libudev-dev libblkid-dev libssl-dev libxxhash-dev"
# What boots the machine; file, binutils and busybox-static serve virtme-ng.
packages="$packages qemu-system-x86 qemu-utils python3 python3-venv file binutils busybox-static"
# What makes build roots and unpacks kernels.
packages="$packages mmdebstrap debian-archive-keyring xz-utils zstd"
# What the guest uses: it runs on a snapshot of this system.
packages="$packages udev kmod e2fsprogs xfsprogs fio nvme-cli dmsetup pciutils fdisk iproute2 procps"
packages="$packages perftest rdma-core ibverbs-providers"
# What looks at the manual.
packages="$packages groff-base"
# What "make check" uses outside of build roots.
packages="$packages shellcheck"
packages="$packages $*"

say() {
    printf 'setup: %s\n' "$*" >&2
}

fail() {
    say "$1"
    [ ! -s "$log" ] || sed 's/^/    /' "$log" | tail -n 40 >&2
    say "the full output is in $log"
    exit 1
}

missing_packages() {
    for package in $packages; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=absent
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

if [ "$(id -u)" -ne 0 ]; then
    say "the lab installs packages and makes build roots, which only root can do; run it with sudo"
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    say "the lab is made for Debian 12, and this machine has no apt-get"
    exit 1
fi
mkdir -p "$cache"

# Two of these at once would fight over apt's and pip's locks.
exec 9>"$cache/bootstrap.lock"
flock 9

missing=$(missing_packages)
if [ -n "$missing" ]; then
    say "installing ${missing% }"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update >"$log" 2>&1 9>&- || fail "apt-get update failed:"
    # shellcheck disable=SC2086 # a list of words
    apt-get install -y --no-install-recommends $missing >>"$log" 2>&1 9>&- ||
        fail "apt-get install failed:"
fi

if ! "$venv/bin/virtme-run" --help >/dev/null 2>&1; then
    say "installing virtme-ng into $venv"
    rm -rf "$venv"
    # Made under its final name: the scripts in it hold their own path.
    {
        python3 -m venv "$venv" && "$venv/bin/pip" install --quiet virtme-ng
    } >"$log" 2>&1 9>&- || {
        rm -rf "$venv"
        fail "virtme-ng could not be installed:"
    }
fi
