# The messages of onnx.proto, compiled by protoc with protobuf's lite runtime.
#
# Programs link the static runtime: nothing to install beside them. Debian's static library is not
# position-independent, so shared libraries (the Python module) need the shared one, unless a try
# shows that the static one will do. Either way its symbols stay out of the dynamic symbol table of
# what intact becomes part of: another protobuf may live in the same process.
find_program(INTACT_PROTOC protoc REQUIRED)
find_library(INTACT_PROTOBUF_STATIC libprotobuf-lite.a)
find_library(INTACT_PROTOBUF_SHARED protobuf-lite)
find_path(INTACT_PROTOBUF_INCLUDE google/protobuf/message_lite.h REQUIRED)

set(generated "${PROJECT_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${generated}/onnx")
add_custom_command(
  OUTPUT "${generated}/onnx/onnx.pb.cc" "${generated}/onnx/onnx.pb.h"
  COMMAND "${INTACT_PROTOC}" "--proto_path=${PROJECT_SOURCE_DIR}/src/intact"
    "--cpp_out=${generated}" "${PROJECT_SOURCE_DIR}/src/intact/onnx/onnx.proto"
  DEPENDS "${PROJECT_SOURCE_DIR}/src/intact/onnx/onnx.proto" VERBATIM)

# Not under the project's warnings: the code is not ours. The sanitizers do apply.
add_library(intact_onnx_format STATIC "${generated}/onnx/onnx.pb.cc"
  "${generated}/onnx/onnx.pb.h")
target_include_directories(intact_onnx_format SYSTEM PUBLIC "${generated}")
if(CMAKE_CROSSCOMPILING)
  target_include_directories(intact_onnx_format SYSTEM PUBLIC "${INTACT_PROTOBUF_INCLUDE}")
endif()
if(INTACT_FUZZ)
  target_compile_options(intact_onnx_format PRIVATE -fsanitize=fuzzer-no-link)
endif()
if(INTACT_SANITIZE)
  target_compile_options(intact_onnx_format PRIVATE -fsanitize=${INTACT_SANITIZE})
endif()

if(INTACT_PROTOBUF_STATIC AND INTACT_PROTOBUF_SHARED)
  if(NOT DEFINED INTACT_PROTOBUF_STATIC_IS_PIC)
    # A shared library that holds the whole archive links only if every object in it is PIC.
    set(probe "${PROJECT_BINARY_DIR}/CMakeFiles/protobuf_probe")
    file(WRITE "${probe}.cc" "int intact_probe() { return 0; }\n")
    execute_process(
      COMMAND "${CMAKE_CXX_COMPILER}" -shared -fPIC "${probe}.cc" -o "${probe}.so"
        -Wl,--whole-archive "${INTACT_PROTOBUF_STATIC}" -Wl,--no-whole-archive
      RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(failed)
      set(INTACT_PROTOBUF_STATIC_IS_PIC OFF CACHE INTERNAL "")
    else()
      set(INTACT_PROTOBUF_STATIC_IS_PIC ON CACHE INTERNAL "")
    endif()
  endif()
  if(INTACT_PROTOBUF_STATIC_IS_PIC)
    set(protobuf "${INTACT_PROTOBUF_STATIC}")
  else()
    set(is_program "$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>")
    set(protobuf "$<IF:${is_program},${INTACT_PROTOBUF_STATIC},${INTACT_PROTOBUF_SHARED}>")
  endif()
elseif(INTACT_PROTOBUF_STATIC)
  set(protobuf "${INTACT_PROTOBUF_STATIC}")
elseif(INTACT_PROTOBUF_SHARED)
  set(protobuf "${INTACT_PROTOBUF_SHARED}")
else()
  message(FATAL_ERROR "protobuf-lite is missing: install libprotobuf-dev")
endif()
target_link_libraries(intact_onnx_format PUBLIC "${protobuf}" Threads::Threads)
target_link_options(intact_onnx_format INTERFACE LINKER:--exclude-libs,libprotobuf-lite.a)
target_link_libraries(intact_onnx PRIVATE intact_onnx_format)
# The tests build broken models by hand.
set_property(TARGET intact_onnx PROPERTY INTACT_TEST_LIBS intact_onnx_format)
