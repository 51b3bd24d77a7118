#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# libFuzzer over the parsers, so many seconds for each; what it learns stays in the
# cache and is where it begins the next time. The last line counts the parsers.
#
#   fuzz.sh [SECONDS [SEED]]    without a seed, another one each time
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-300}
seed=${2:-0}

log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT
echo "fuzz: building with libFuzzer and AddressSanitizer" >&2
# Optimised, since it is the number of inputs that counts; with what @testable asks for. Of two
# sanitizers in two options the compiler takes the last one alone, so it is told of both again.
# The linker complains of each symbol of the sanitizer's; only a failure is news.
if ! IOPMEM_FUZZ=1 swift build --quiet --configuration release --scratch-path .build-fuzz \
    --product iopmem-fuzz --sanitize=fuzzer --sanitize=address \
    -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing >"$log" 2>&1; then
    grep -v 'Cannot export local symbol' "$log"
    exit 1
fi

found=.cache/fuzz/found
mkdir -p "$found"

# One parser: what holds leaves a file that says so.
fuzz() {
    local seeds=$1 subject learnt runs reached
    subject=$(basename "$seeds")
    learnt=.cache/fuzz/$subject
    mkdir -p "$learnt"
    # swift-backtrace would wait for a process that libFuzzer has stopped. A trap is what a
    # broken claim looks like, and libFuzzer says which input it was.
    if SWIFT_BACKTRACE=enable=no IOPMEM_FUZZ=$subject .build-fuzz/release/iopmem-fuzz \
        -max_total_time="$seconds" -seed="$seed" -max_len=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$found/$subject-" "$learnt" "$seeds" >"$log.$subject" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log.$subject")
        reached=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log.$subject" | tail -n 1)
        echo "fuzz: $subject holds: ${runs:-no} inputs, $reached edges"
        # No input at all would prove nothing.
        [ "${runs:-0}" -gt 0 ] && touch "$log.$subject.holds"
    else
        grep -aE 'Fatal error|ERROR|SUMMARY|Test unit written|Base64' "$log.$subject"
        echo "fuzz: $subject is broken by an input, kept in $found" >&2
    fi
}

# One on each processor.
total=0
for seeds in Tests/Fuzz/Seeds/*/; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    fuzz "$seeds" &
    total=$((total + 1))
done
wait
passed=$(find "$(dirname "$log")" -maxdepth 1 -name "$(basename "$log").*.holds" | wc -l)
failed=$((total - passed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
