# Cross build for macOS, for the architecture in ENGRAM_APPLE_ARCH, with clang 14 and its linker (Debian 12: clang, lld,
# llvm), without Apple's headers: the kernels need two small ones, which lie in include/, and apple/ has a stub of the system's
# library. Nothing here can run what it makes.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR ${ENGRAM_APPLE_ARCH})
set(CMAKE_OSX_DEPLOYMENT_TARGET 11.0 CACHE STRING "The oldest macOS that runs on Apple silicon")
set(CMAKE_OSX_SYSROOT "" CACHE STRING "There is none")
set(llvm /usr/lib/llvm-14/bin)
set(CMAKE_C_COMPILER ${llvm}/clang)
set(CMAKE_C_COMPILER_TARGET ${ENGRAM_APPLE_ARCH}-apple-macos11)
foreach(tool AR RANLIB NM OBJDUMP INSTALL_NAME_TOOL)
  string(TOLOWER ${tool} name)
  string(REPLACE _ - name ${name})
  set(CMAKE_${tool} ${llvm}/llvm-${name})
endforeach()
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # no program can be linked
set(apple ${CMAKE_CURRENT_LIST_DIR}/apple)
# Freestanding for the compiler's own headers alone: without -fbuiltin each memcpy of four bytes would be a call.
set(CMAKE_C_FLAGS_INIT "-ffreestanding -fbuiltin -fno-stack-protector -isystem \"${CMAKE_CURRENT_LIST_DIR}/include\"")
set(CMAKE_SHARED_LINKER_FLAGS_INIT
    "-fuse-ld=lld -nostdlib \"${apple}/libSystem.tbd\" -Wl,-adhoc_codesign -Wl,-install_name,@rpath/libengram.dylib")
