# Everything that the project links and does not own. Debian packages, but for libtorch (from the
# torch wheel, or wherever EXTROSPECT_LIBTORCH points) and minja (header-only, in EXTROSPECT_DEPS).

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(HDF5 REQUIRED COMPONENTS C)
if(NOT EXTROSPECT_MPI STREQUAL "OFF")
  if(EXTROSPECT_MPI STREQUAL "AUTO")
    find_package(MPI QUIET COMPONENTS C)
  else()
    find_package(MPI REQUIRED COMPONENTS C)
  endif()
endif()
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)

if(EXTROSPECT_LIBTORCH)
  list(PREPEND CMAKE_PREFIX_PATH "${EXTROSPECT_LIBTORCH}")
endif()
find_package(Torch QUIET)
if(NOT Torch_FOUND)
  message(FATAL_ERROR
    "libtorch was not found. Run tools/setup, or set EXTROSPECT_LIBTORCH to the libtorch folder "
    "(the one that holds share/cmake/Torch).")
endif()

if(NOT EXISTS "${EXTROSPECT_DEPS}/minja/minja.hpp")
  message(FATAL_ERROR
    "minja was not found in EXTROSPECT_DEPS (${EXTROSPECT_DEPS}). Run tools/setup.")
endif()
add_library(minja INTERFACE)
target_include_directories(minja SYSTEM INTERFACE "${EXTROSPECT_DEPS}")
