#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Every test: first those without virtual machines, then the scenarios on every
# supported kernel. With kernels as an argument (6.12-debug, or 6.1,7.2), only the
# scenarios, and only on those. With IOPMEM_WHOLE=1, every variant of a scenario on every
# kernel; without, the kernels share some of them. The last line counts the tests.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

say() {
    printf 'test: %s\n' "$*" >&2
}

Tests/VMLab/bootstrap.sh || exit 1
make --no-print-directory lab || exit 1

log=$(mktemp -d)
# Downloads and unpacks, for the most part; the compiler keeps the processors busy meanwhile.
# In a process group of its own, so that all of it ends when this does.
[ -z "${1-}" ] || export IOPMEM_KERNELS=$1
set -m
.build-release/release/iopmem-lab prepare >"$log/prepare" 2>&1 &
preparation=$!
set +m
trap 'kill -- "-$preparation" 2>/dev/null; rm -rf "$log"' EXIT

say "building the tests"
if ! swift build --quiet --build-tests >"$log/build" 2>&1; then
    cat "$log/build"
    say "the tests do not build"
    exit 1
fi

# Swift Testing says how it went on one line per test and one line in the end;
# a crash leaves no such end, and is a failure of its own. stdbuf, so that people
# see each step when it happens.
passed=0 failed=0
count() {
    local bad total
    total=$(sed -n 's/.*Test run with \([0-9]*\) tests* .*\(passed\|failed\) after.*/\1/p' "$1" | tail -n 1)
    bad=$(grep -ac '^✘ Test .* failed after' "$1")
    # The last line of a failed run looks like a test's. -a: tests print what they are given.
    grep -aq '^✘ Test run with' "$1" && bad=$((bad - 1))
    if [ -z "$total" ] || [ "$total" -eq 0 ]; then
        say "$2 ended without a result"
        failed=$((failed + 1))
        return
    fi
    # An issue outside of any test fails the run without failing a test.
    [ "$3" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    failed=$((failed + bad))
    passed=$((passed + total - bad))
}

if [ -z "${1-}" ]; then
    say "unit tests"
    stdbuf -oL swift test --skip-build --skip ScenarioTests 2>&1 | tee "$log/unit"
    count "$log/unit" "the unit tests" "${PIPESTATUS[0]}"

    say "fuzzing the parsers, for seconds; make fuzz takes minutes"
    Tests/fuzz.sh 10 1 >"$log/fuzz"
    grep -v ' passed, ' "$log/fuzz"
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log/fuzz")
    # Without a count it was not even built.
    read -r held broken <<<"${counts:-0 1}"
    passed=$((passed + held)) failed=$((failed + broken))

    say "make install and make uninstall"
    if Tests/install.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi

say "kernels, build roots and driver"
wait "$preparation"
prepared=$?
cat "$log/prepare"
if [ "$prepared" -eq 0 ]; then
    say "scenarios"
    stdbuf -oL swift test --skip-build --filter ScenarioTests \
        --event-stream-output-path "$log/events" --event-stream-version 0 2>&1 | tee "$log/scenarios"
    count "$log/scenarios" "the scenarios" "${PIPESTATUS[0]}"
    # What the README claims has been shown just now.
    if [ -z "${1-}" ]; then
        if .build-release/release/iopmem-lab proof "$log/events"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    fi
else
    say "the lab cannot be prepared"
    failed=$((failed + 1))
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
