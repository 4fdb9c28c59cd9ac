# What `cmake --install` puts where, and how others find it:
#
#   find_package(intact REQUIRED)
#   target_link_libraries(app PRIVATE intact::runtime)   load and run models
#   target_link_libraries(app PRIVATE intact::intact)    that, and quantize, calibrate, data, reports
#
# Each is one static archive made of the objects of its rooms (docs/decisions/0003-packaging.md). A program
# links one of the two. Components: `devel` (headers, archives, CMake files), `tools`, `python`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# intact_archive(TARGET NAME LIBRARY ROOMS...): the archive libLIBRARY.a, exported as intact::NAME.
function(intact_archive target name library)
  add_library(${target} STATIC)
  foreach(room IN LISTS ARGN)
    get_target_property(type intact_${room} TYPE)
    if(type STREQUAL "STATIC_LIBRARY")
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:intact_${room}>)
    endif()
    if(room STREQUAL "onnx" AND TARGET intact_onnx_format)
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:intact_onnx_format>)
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${library} EXPORT_NAME ${name} LINKER_LANGUAGE CXX)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} INTERFACE $<INSTALL_INTERFACE:intact::${name}_needs>)
  install(TARGETS ${target} EXPORT intact ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel)
endfunction()

function(intact_install)
  set(runtime base quant kernels ir onnx passes runtime api)
  get_property(all GLOBAL PROPERTY INTACT_ALL_ROOMS)
  intact_archive(intact_runtime_archive runtime intact_runtime ${runtime})
  intact_archive(intact_whole_archive intact intact ${all})

  set(where ${CMAKE_INSTALL_LIBDIR}/cmake/intact)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/intact" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT devel)
  install(EXPORT intact NAMESPACE intact:: FILE intactTargets.cmake DESTINATION ${where} COMPONENT devel)
  configure_package_config_file(cmake/intactConfig.cmake.in intactConfig.cmake INSTALL_DESTINATION ${where})
  write_basic_package_version_file(intactConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES "${PROJECT_BINARY_DIR}/intactConfig.cmake" "${PROJECT_BINARY_DIR}/intactConfigVersion.cmake"
    DESTINATION ${where} COMPONENT devel)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/intact COMPONENT devel)
endfunction()
