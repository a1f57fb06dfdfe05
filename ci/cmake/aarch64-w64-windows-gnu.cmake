# Cross build for Windows on AArch64, with clang 14 and its linker (Debian 12: clang, lld, llvm), without MinGW's headers
# and start files, which Debian does not have for it. Nothing here can run what it makes.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(llvm /usr/lib/llvm-14/bin)
set(CMAKE_C_COMPILER ${llvm}/clang)
set(CMAKE_C_COMPILER_TARGET aarch64-w64-windows-gnu)
foreach(tool AR RANLIB NM OBJDUMP)
  string(TOLOWER ${tool} name)
  set(CMAKE_${tool} ${llvm}/llvm-${name})
endforeach()
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # no program can be linked
set(CMAKE_C_STANDARD_LIBRARIES "" CACHE STRING "MinGW's are not there")
set(ENGRAM_ENTRY ${CMAKE_CURRENT_LIST_DIR}/windows/entry.c)
set(imports ${CMAKE_BINARY_DIR}/imports)
file(MAKE_DIRECTORY ${imports})
execute_process(COMMAND ${llvm}/llvm-dlltool -m arm64 -d ${CMAKE_CURRENT_LIST_DIR}/windows/msvcrt.def
                        -l ${imports}/libmsvcrt.a COMMAND_ERROR_IS_FATAL ANY)
# As for macOS: freestanding for the compiler's own headers alone.
set(CMAKE_C_FLAGS_INIT "-ffreestanding -fbuiltin -fno-stack-protector -isystem \"${CMAKE_CURRENT_LIST_DIR}/include\"")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-fuse-ld=lld -nostdlib -L\"${imports}\" -lmsvcrt")
