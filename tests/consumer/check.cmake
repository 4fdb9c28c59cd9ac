# cmake -DBUILD=... -DSOURCE=... -DWORK=... -DCOMPILER=... -DMODEL=... -P check.cmake
#
# Installs the build into a folder of its own, builds the consumer against it and runs what came out.
function(must)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed)
  if(failed)
    string(JOIN " " line ${ARGN})
    message(FATAL_ERROR "failed: ${line}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
must("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/prefix" --component devel)
must("${CMAKE_COMMAND}" -S "${SOURCE}" -B "${WORK}/build" -G Ninja "-DCMAKE_PREFIX_PATH=${WORK}/prefix"
  "-DCMAKE_CXX_COMPILER=${COMPILER}" -DCMAKE_BUILD_TYPE=Release)
must("${CMAKE_COMMAND}" --build "${WORK}/build")

# A program that runs models needs the C and C++ run times and nothing else.
execute_process(COMMAND ldd "${WORK}/build/run" OUTPUT_VARIABLE needs COMMAND_ERROR_IS_FATAL ANY)
if(needs MATCHES "protobuf|libfmt|libzip|libjpeg|libpng")
  message(FATAL_ERROR "the consumer drags in libraries:\n${needs}")
endif()

must("${WORK}/build/run" "${MODEL}")
must("${WORK}/build/quantize" "${MODEL}")
