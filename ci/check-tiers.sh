#!/bin/sh
# Looks into the library's objects: the baseline must run on any CPU of the architecture, a tier's
# objects may hold only that tier's instructions, and the library may ask for no more of libc than
# stated. Arguments: the folder with the objects, the library, objdump, the tiers.
set -eu
objects=$1 library=$2 objdump=$3
shift 3
status=0
tab=$(printf '\t')
fail() {
  echo "FAILED: $*"
  status=1
}

# PART BANNED WANTED: no instruction of the part may match BANNED; some must match WANTED
check() {
  code=$(for object in "$objects/engram_$1.dir"/native/src/*.o "$objects/engram_$1.dir"/native/src/*/*.o \
    "$objects/engram_$1.dir"/native/src/*.obj "$objects/engram_$1.dir"/native/src/*/*.obj; do
    [ ! -e "$object" ] || "$objdump" -d --no-show-raw-insn "$object"
  done | sed "s/^ *[0-9a-f]*:$tab/:$tab/") # an address may be bf16
  lines=$(echo "$code" | wc -l)
  # an empty check would pass as well as a clean one
  [ "$lines" -gt 500 ] || fail "only $lines lines of code in $1"
  if echo "$code" | grep -Eq "$2"; then
    fail "$1 holds instructions beyond its tier:"
    echo "$code" | grep -E "$2" | head -n 3
  fi
  [ "$(echo "$code" | grep -Ec "$3")" -gt 20 ] || fail "$1 hardly uses its tier"
  echo "$1: $lines lines of code, none beyond its tier"
}

above_avx512='vpdp|dpbf16|bf16|vpopcnt|vpmadd52|vpshld|vpshrd|vpermi2b|vpermt2b|vpermb|vpmultishift|vpcompress[bw]|vpexpand[bw]|vp2intersect|vgf2p8|vcvt[a-z0-9]*ph2ph|tdp|vaes|vpclmul|vfmadd[a-z0-9]*[ps]h'
above_avx512_bf16=$(echo "$above_avx512" | sed 's/vpdp|dpbf16|bf16/vpdp|vcvtne/; s/vpermi2b|vpermt2b|vpermb|vpmultishift|//')
above_amx_bf16=$(echo "$above_avx512_bf16" | sed 's/|tdp|/|tdpb[us]|/')
above_neon='[[:space:]]z[0-9]+\.|[[:space:]]p[0-9]+/|[su]dot|bfdot|bfmmla|smmla|fmla.*\.[48]h'
case " $* " in
  *" avx2 "*)
    check baseline "%ymm|%zmm|%k[0-7]|${tab}v[a-z0-9]+ " '%xmm'
    check avx2 '%zmm|%k[0-7]|\{%k|%[xy]mm(1[6-9]|2[0-9]|3[01])' '%ymm'
    check avx512 "$above_avx512" '%zmm'
    check avx512_bf16 "$above_avx512_bf16" 'vdpbf16ps'
    case " $* " in *" amx_bf16 "*) check amx_bf16 "$above_amx_bf16" 'tdpbf16ps|tile' ;; esac ;;
  *" neon "*)
    check baseline "$above_neon" 'fmul|fadd'
    check neon "$above_neon" '\.4s'
    case " $* " in *" neon_bf16 "*) check neon_bf16 "$(echo "$above_neon" | sed 's/|bfdot//')" 'bfdot' ;; esac ;;
  *) fail "nothing is known of tiers: $*" ;;
esac
case $library in *.dylib | *.dll) exit $status ;; esac # no glibc there
floor=$("$objdump" -T "$library" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
case ${floor:-none} in
  none | GLIBC_2.2.5 | GLIBC_2.14) ;;
  GLIBC_2.17) case " $* " in *" neon "*) ;; *) fail "the library needs $floor" ;; esac ;; # AArch64's first
  *) fail "the library needs $floor" ;;
esac
echo "libc floor: ${floor:-none}"
exit $status
