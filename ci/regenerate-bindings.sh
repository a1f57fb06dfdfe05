#!/bin/sh
# Regenerates bindings/ from the headers in native/ with the jextract on PATH (or in $JEXTRACT), and
# records the headers' hashes, which the build compares. With a folder as argument: makes them there,
# for a comparison.
set -eu
cd "$(dirname "$0")/.."
tool=${JEXTRACT:-jextract}
command -v "$tool" >/dev/null || { echo "error: jextract is not on PATH" >&2; exit 2; }
sources=${1:-bindings/src/main/java}
out=$sources/io/engram4j/bindings
rm -rf "$out"
"$tool" @bindings/jextract.args --output "$sources" native/include/engram.h
"$tool" @bindings/jextract-cuda.args --output "$sources" native/cuda/include/engram_cuda.h
# `long` differs between platforms and the headers have none; the constant for it would fail on Windows
for shared in "$out"/*'$shared.java' "$out"/cuda/*'$shared.java'; do
  sed -i.bak '/ValueLayout.OfLong C_LONG = /d' "$shared"
  rm "$shared.bak"
done
if [ $# -eq 0 ]; then
  for header in native/include/engram.h native/cuda/include/engram_cuda.h; do
    sha256sum "$header" | cut -d' ' -f1 > "bindings/$(basename "$header").sha256"
  done
fi
