#!/bin/sh
# Looks into the library's objects: baseline objects must run on any x86-64, so they may hold no AVX;
# the objects of a tier only its own. And the library may ask for no more of libc than stated.
# Arguments: the folder with the objects, the library.
set -eu
objects=$1 library=$2
status=0
seen=0
for object in $(find "$objects" -name '*.c.o' -path '*engram.dir*'); do
  seen=$((seen + 1))
  code=$(objdump -d --no-show-raw-insn "$object")
  case $object in
    *avx2.c.o) banned='%zmm|%k[0-7]|\{%k' ;;
    *) banned='%ymm|%zmm|%k[0-7]|	v[a-z0-9]+ ' ;;
  esac
  if echo "$code" | grep -Eq "$banned"; then
    echo "FAILED: $object holds instructions beyond its tier:"
    echo "$code" | grep -E "$banned" | head -n 3
    status=1
  fi
done
# an empty check would pass as well as a clean one
[ "$seen" -ge 15 ] || { echo "FAILED: only $seen objects under $objects"; status=1; }
find "$objects" -name 'gather_avx2.c.o' | while read -r object; do
  objdump -d "$object" | grep -q '%ymm'
done || { echo "FAILED: the AVX2 tier holds no AVX2"; status=1; }
floor=$(objdump -T "$library" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
case ${floor:-none} in
  none | GLIBC_2.2.5 | GLIBC_2.14) ;;
  *) echo "FAILED: the library needs $floor, more than GLIBC_2.14"; status=1 ;;
esac
echo "$seen objects hold only their tier's instructions; libc floor ${floor:-none}"
exit $status
