# Cross build for macOS on x86_64.
set(ENGRAM_APPLE_ARCH x86_64)
include(${CMAKE_CURRENT_LIST_DIR}/apple.cmake)
