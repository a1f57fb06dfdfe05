#!/bin/sh
# Regenerates bindings/ from native/include/engram.h with the jextract on PATH (or in $JEXTRACT), and
# records the header's hash, which the build compares. With a folder as argument: makes them there,
# for a comparison.
set -eu
cd "$(dirname "$0")/.."
tool=${JEXTRACT:-jextract}
command -v "$tool" >/dev/null || { echo "error: jextract is not on PATH" >&2; exit 2; }
sources=${1:-bindings/src/main/java}
out=$sources/io/engram4j/bindings
rm -rf "$out"
"$tool" @bindings/jextract.args --output "$sources" native/include/engram.h
# `long` differs between platforms and the header has none; the constant for it would fail on Windows
sed -i.bak '/ValueLayout.OfLong C_LONG = /d' "$out/Engram\$shared.java"
rm -f "$out"/*.bak
[ $# -gt 0 ] || sha256sum native/include/engram.h | cut -d' ' -f1 > bindings/engram.h.sha256
