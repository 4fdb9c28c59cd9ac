# One interface target that carries how every translation unit of the project is compiled.
find_package(Threads REQUIRED)
# {fmt} is compiled into the base room (fmt_library.cc): only its headers are needed. Debian keeps them in
# /usr/include, where the compiler looks anyway; a cross compiler must not see that folder, so there the
# headers come from the cross build's own root.
find_path(INTACT_HEADERS_DIR fmt/format-inl.h REQUIRED)
add_library(intact_options INTERFACE)
target_compile_options(intact_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wdouble-promotion -Wundef
  # GCC 12 reports "literal" + std::string as overlapping memory (its bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  -ffp-contract=off
  $<$<BOOL:${INTACT_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # g++ is the reference for warnings; clang's -Wconversion means more than g++'s.
  target_compile_options(intact_options INTERFACE -Wno-sign-conversion -Wno-implicit-int-float-conversion)
endif()
if(INTACT_FUZZ)
  target_compile_options(intact_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(INTACT_SANITIZE)
  target_compile_options(intact_options INTERFACE -fsanitize=${INTACT_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(intact_options INTERFACE -fsanitize=${INTACT_SANITIZE})
endif()
target_include_directories(intact_options INTERFACE
  "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src/intact")
target_link_libraries(intact_options INTERFACE Threads::Threads)
if(CMAKE_CROSSCOMPILING)
  target_include_directories(intact_options SYSTEM INTERFACE "${INTACT_HEADERS_DIR}")
endif()
