# Cross build for AArch64 Linux with Debian's gcc-aarch64-linux-gnu; tests run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_OBJDUMP aarch64-linux-gnu-objdump)
find_program(ENGRAM_QEMU qemu-aarch64)
if(ENGRAM_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${ENGRAM_QEMU} -L /usr/aarch64-linux-gnu)
endif()
