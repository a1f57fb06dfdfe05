# Cross build for macOS on aarch64.
set(ENGRAM_APPLE_ARCH arm64)
include(${CMAKE_CURRENT_LIST_DIR}/apple.cmake)
