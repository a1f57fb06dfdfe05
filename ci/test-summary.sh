#!/bin/sh
# Adds up what the last test run left under target/: tests, conformance cases, fuzzed inputs.
# Exits 1 if a test failed or none ran.
cd "$(dirname "$0")/.."
set -- $(ls java/*/target/surefire-reports/TEST-*.xml java/natives/*/target/surefire-reports/TEST-*.xml 2>/dev/null)
[ $# -gt 0 ] || { echo "0 passed, 1 failed"; exit 1; }
attribute() { # NAME FILES...: sum of an attribute of each <testsuite>
  _name=$1; shift
  sed -n "s/^<testsuite.* $_name=\"\([0-9]*\)\".*/\1/p" "$@" | awk '{s += $1} END {print s + 0}'
}
tests=$(attribute tests "$@")
failed=$(($(attribute failures "$@") + $(attribute errors "$@")))
skipped=$(attribute skipped "$@")
# suites that try many cases in one test write "NAME CASES" lines here
for counts in java/*/target/case-counts/*.txt java/natives/*/target/case-counts/*.txt; do
  [ ! -e "$counts" ] || sed 's/^/  /' "$counts"
done
cases=$(cat java/*/target/case-counts/conformance-*.txt java/natives/*/target/case-counts/conformance-*.txt 2>/dev/null | awk '{s += $NF} END {print s + 0}')
echo "tests: $tests, conformance cases: $cases"
echo "$((tests - failed - skipped)) passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$tests" -gt 0 ]
