# Toolchain: 64-bit ARM with Debian's cross compiler. Programs run under qemu's user-mode emulation, so
# that ctest works as on the machine itself.
#
# Libraries come from build/sysroot, which scripts/sysroot fills with Debian's arm64 packages; nothing
# of the machine's own package database changes. Everything is linked statically: the emulator then
# needs no loader and no search path.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

get_filename_component(INTACT_SYSROOT "${CMAKE_CURRENT_LIST_DIR}/../build/sysroot" ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH "${INTACT_SYSROOT}/usr" "${INTACT_SYSROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
