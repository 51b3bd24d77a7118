#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A gallery of damage and of what verify says of it: writes docs/verify.md. Each piece is made
# with dd, as anybody can make it, and recorded with what came.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.cache/tools/bin:$PATH
page=$PWD/docs/verify.md
folder=$(mktemp -d)
# The state must not be where its target is.
states=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$folder" "$states"' EXIT
cd "$folder"

# Prints a command as a person types it, and what came of it.
record() {
    printf '```console\n'
    local command
    for command; do
        printf '$ %s\n' "${command//$states/\/run}"
        bash -c "$command" 2>&1 | sed "s,$states,/run,g" || true
    done
    printf '```\n\n'
}

# A piece: what it is, how it is made, how it is looked at.
piece() {
    local title=$1 words=$2
    shift 2
    printf '## %s\n\n%s\n\n' "$title" "$words"
    record "$@"
}

fresh() {
    rm -f disk
    iopmemctl verify ./disk --size 1M --randseed "${1:-7}" -q >/dev/null
}

look='iopmemctl verify ./disk --verify-only -q'

# A copy of some bytes of one file over those of another: FROM OFFSET TO OFFSET COUNT.
copy() {
    printf 'dd if=%s of=%s bs=1 skip=%s seek=%s count=%s conv=notrunc status=none' "$1" "$3" "$2" "$4" "$5"
}

{
    cat <<'END'
# A gallery of wrong data

Made by `make gallery`; do not edit. Each piece begins with a file of 256 blocks that
`iopmemctl verify ./disk --size 1M` wrote, is damaged with dd, and looked at again. `verify` makes
each block's payload anew from the seed in its header, so it says which bytes are wrong, and not
only that a checksum is. The exit status is 7 for each of them.

![A report](verify.png)

The picture is a page that `--report` wrote in the lab, of a run in which nothing was wrong: two
jobs with blocks of 4 to 64 KiB in the mapping of a file on ext4 with `-o dax`, and a drive as a
peer, both ways.

END
    fresh
    piece "Nothing is wrong" "So that a yes can be told from a no." "$look"
    fresh
    piece "A bit" "One bit of the last byte of the file." \
        "python3 -c 'f = open(\"disk\", \"r+b\"); f.seek(-1, 2); b = f.read(1)[0]; f.seek(-1, 2); f.write(bytes([b ^ 16]))'" \
        "$look"
    fresh
    piece "Zeros" "A block that was never written, and a cache line that was lost." \
        "dd if=/dev/zero of=disk bs=4k seek=9 count=1 conv=notrunc status=none" \
        "dd if=/dev/zero of=disk bs=64 seek=1000 count=1 conv=notrunc status=none" "$look"
    fresh
    piece "All ones" "What a PCIe device that is gone answers." \
        "tr '\\0' '\\377' </dev/zero | dd of=disk bs=4k seek=200 count=2 conv=notrunc status=none iflag=fullblock" \
        "$look"
    fresh
    piece "Somebody else's data" "Text in the middle of a block." \
        "printf 'not yours' | dd of=disk bs=1 seek=500000 conv=notrunc status=none" "$look"
    fresh
    piece "Misdirected" "A block that is sound, in another one's place." \
        "$(copy disk 12288 disk 28672 4096)" "$look"
    fresh 1
    cp disk older
    fresh 2
    piece "Torn" "The end of an older write behind the beginning of a newer one: at a sector of 512 bytes, at a
cache line of 64, and at the page of 4 KiB in a block of 8 KiB." \
        "$(copy older 41472 disk 41472 3584)" "$(copy older 81984 disk 81984 4032)" "$look" \
        "iopmemctl verify ./large --size 64k --bs 8k --randseed 1 -q >/dev/null; cp large older" \
        "iopmemctl verify ./large --size 64k --bs 8k --randseed 2 -q >/dev/null" \
        "$(copy older 12288 large 12288 4096)" "iopmemctl verify ./large --bs 8k --verify-only -q"
    fresh 1
    cp disk older
    piece "Stale" "A whole block of an older generation. Only who remembers what was written last can tell:
the run itself, or a later one by the state that it kept." \
        "iopmemctl verify ./disk --randseed 5 --state $states/state -q >/dev/null" \
        "$(copy older 20480 disk 20480 4096)" \
        "iopmemctl verify ./disk --verify-only --state $states/state -q"
    fresh
    piece "A target that ends too early" "What was verified before is told all the same." \
        "truncate -s 1000000 disk" "iopmemctl verify ./disk --verify-only --size 1M -q" "$look"
} >"$folder/page"
# Seeds that nobody chose differ each time; nothing else does.
sed -E -e "s,$folder,.,g" -e 's/[0-9.]+ [KMG]iB\/s/… \/s/; s/(CPU +)[0-9.]+/\1…/' page >"$page"
echo "gallery: written: docs/verify.md" >&2
