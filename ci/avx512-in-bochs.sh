#!/bin/sh
# Runs an image in the PC emulator Bochs, whose CPU has AVX-512 whatever this machine has, and checks
# what it prints. Arguments: the image, a folder for files, the file to which
# results are added; all of them absolute.
set -eu
image=$1 work=$2 reports=$3
model=corei7_skylake_x
bios=
for candidate in /usr/share/bochs /usr/share/bochs-bios /usr/local/share/bochs; do
  [ ! -e "$candidate/BIOS-bochs-latest" ] || bios=$candidate/BIOS-bochs-latest
done
vga=
for candidate in /usr/share/vgabios/vgabios.bin /usr/share/bochs/VGABIOS-lgpl-latest \
  /usr/local/share/bochs/VGABIOS-lgpl-latest; do
  [ ! -e "$candidate" ] || vga=$candidate
done
# Bochs splits paths at spaces, so it is run where its files are, and sees their names alone.
mkdir -p "$work"
cd "$work"
disk=disk.img
serial=serial.txt
rm -f "$serial" "$disk.lock"
# a disk of 4 cylinders, 16 heads, 63 sectors
dd if=/dev/zero of="$disk" bs=512 count=4032 2>/dev/null
dd if="$image" of="$disk" conv=notrunc 2>/dev/null
cat > bochsrc.txt <<END
cpu: model=$model, count=1, ips=200000000, reset_on_triple_fault=0
memory: guest=256, host=256
romimage: file=$bios
vgaromimage: file=$vga
boot: disk
ata0-master: type=disk, path="$disk", mode=flat, cylinders=4, heads=16, spt=63
com1: enabled=1, mode=file, dev="$serial"
display_library: term
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
END
echo c > continue
# builds with the debugger wait for "c"; the others do not know -rc
options=
if bochs --help 2>&1 | grep -q -- '-rc'; then options="-rc continue"; fi
TERM=${TERM:-xterm}
export TERM
[ "$TERM" != dumb ] || TERM=xterm
timeout 600 script -qec "bochs -q -f bochsrc.txt $options" /dev/null > screen.txt 2>&1 < /dev/null || true
[ -e "$serial" ] || { echo "FAILED: Bochs printed nothing:"; tail -n 20 bochs.log; exit 1; }
tr -d '\r' < "$serial"
status=0
# exactly the failure that the image reports on purpose
[ "$(grep -c '^FAILED' "$serial")" -eq 1 ] || { echo "FAILED: expected one failure, on purpose"; status=1; }
grep -q '^end' "$serial" || { echo "FAILED: the run did not reach its end"; tail -n 5 bochs.log; status=1; }
comparisons=$(sed -n 's/^tier avx512 executed: \([0-9]*\) .*/\1/p' "$serial")
[ "${comparisons:-0}" -gt 500000 ] || { echo "FAILED: AVX-512 was not executed"; status=1; }
[ $status -ne 0 ] || echo "C tests of tier avx512 in Bochs as $model, seed 1, comparisons: $comparisons" >> "$reports"
exit $status
