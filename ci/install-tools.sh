#!/bin/sh
# Installs what continuous integration has beyond a user's machine, on Debian and its kin: a compiler
# and CMake, and cross compilers and emulators, so that every tier and platform is executed. Nothing else needs it:
# without these tools ./build leaves out what they do and says so.
set -eu
missing=
need() { # PACKAGE COMMAND
  command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}
need gcc cc
need cmake cmake
need binutils objdump
need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
need qemu-user qemu-aarch64
need bochs bochs
need musl-tools musl-gcc
need gcc-mingw-w64-x86-64-posix x86_64-w64-mingw32-gcc
[ -e /usr/lib/wine/wine64 ] || need wine64 wine64
[ -e /usr/lib/llvm-14/bin/ld64.lld ] || missing="$missing lld-14"
[ -e /usr/lib/llvm-14/bin/clang ] || missing="$missing clang-14"
[ -e /usr/lib/llvm-14/bin/llvm-objdump ] || missing="$missing llvm-14"
need bsdutils script
need chromium chromium
need redis-server redis-server
need openmpi-bin mpirun.openmpi
need mpich mpirun.mpich
need iproute2 ip
need nbdkit nbdkit
need libnbd-bin nbdfuse
need fuse3 fusermount3
ls /usr/lib/*/libucp.so.0 >/dev/null 2>&1 || missing="$missing libucx0"
[ -e /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu-core"
[ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] || missing="$missing libc6-dev-arm64-cross"
[ -e /usr/share/vgabios/vgabios.bin ] || missing="$missing vgabios"
[ -e /usr/share/bochs/BIOS-bochs-latest ] || missing="$missing bochsbios"
ls /usr/lib/*/bochs/plugins/libbx_term_gui.so >/dev/null 2>&1 || missing="$missing bochs-term"
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "install-tools: left out, since this is not root on Debian:$missing"
    exit 0
  fi
  echo "install-tools: installing$missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null || true
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null || echo "install-tools: not all could be installed"
fi
if command -v apt-get >/dev/null 2>&1 && [ "$(uname -m)" = x86_64 ]; then
  sh "$(dirname "$0")/jdk-aarch64" >/dev/null || echo "install-tools: there is no Java for AArch64"
fi
