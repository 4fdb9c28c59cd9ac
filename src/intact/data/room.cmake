# Decoders and archives: no place for our own code.
find_package(PkgConfig REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
target_link_libraries(intact_data PRIVATE PkgConfig::LIBZIP JPEG::JPEG PNG::PNG
  nlohmann_json::nlohmann_json)

# What runs in Python travels inside the program.
set(bridge "${dir}/python_bridge.py")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${bridge}")
file(READ "${bridge}" INTACT_PYTHON_BRIDGE)
configure_file("${dir}/python_bridge_text.h.in" "${PROJECT_BINARY_DIR}/generated/data/python_bridge_text.h" @ONLY)
target_include_directories(intact_data PRIVATE "${PROJECT_BINARY_DIR}/generated")
