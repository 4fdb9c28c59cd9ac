# Decoders and archives: no place for our own code.
find_package(PkgConfig REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
target_link_libraries(intact_data PRIVATE PkgConfig::LIBZIP JPEG::JPEG PNG::PNG
  nlohmann_json::nlohmann_json)
