# Cross build for Windows with Debian's gcc-mingw-w64-x86-64; tests run under wine.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_OBJDUMP x86_64-w64-mingw32-objdump)
find_program(ENGRAM_WINE NAMES wine64 wine PATHS /usr/lib/wine)
if(ENGRAM_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${ENGRAM_WINE})
endif()
