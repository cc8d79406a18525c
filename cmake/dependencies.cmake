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

# A libtorch for GPUs mostly brings NCCL, and a wrapper of it: what has to be there is the wrapper's
# sum. (Compiling a test program would need a CUDA compiler, which nothing else here does.)
set(EXTROSPECT_HAS_NCCL OFF)
if(NOT EXTROSPECT_NCCL STREQUAL "OFF" AND TARGET torch_cuda)
  execute_process(
    COMMAND ${CMAKE_NM} --dynamic --defined-only "${TORCH_INSTALL_PREFIX}/lib/libtorch_cuda.so"
    COMMAND grep --quiet "torch4cuda4nccl10all_reduce"
    RESULT_VARIABLE no_nccl)
  if(no_nccl EQUAL 0)
    set(EXTROSPECT_HAS_NCCL ON)
  endif()
endif()
if(EXTROSPECT_NCCL STREQUAL "ON" AND NOT EXTROSPECT_HAS_NCCL)
  message(FATAL_ERROR "EXTROSPECT_NCCL is ON, and this libtorch brings no NCCL.")
endif()

# at::parallel_for is a template: without OpenMP where it is used, it runs on one thread and says
# nothing. The runtime is the one that libtorch brings; a second would fight it over the cores.
add_library(extrospect_openmp INTERFACE)
set(extrospect_openmp_flags "")
find_package(OpenMP COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
  set(extrospect_openmp_flags ${OpenMP_CXX_FLAGS})
  file(GLOB openmp_of_torch "${TORCH_INSTALL_PREFIX}/lib/libgomp*.so*")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND openmp_of_torch)
    list(GET openmp_of_torch 0 openmp_of_torch)
    target_link_libraries(extrospect_openmp INTERFACE "${openmp_of_torch}")
  else()
    target_link_libraries(extrospect_openmp INTERFACE ${OpenMP_CXX_LIBRARIES})
  endif()
else()
  message(WARNING "This compiler has no OpenMP: the CPU kernels will run on one thread.")
endif()

if(NOT EXISTS "${EXTROSPECT_DEPS}/minja/minja.hpp")
  message(FATAL_ERROR
    "minja was not found in EXTROSPECT_DEPS (${EXTROSPECT_DEPS}). Run tools/setup.")
endif()
add_library(minja INTERFACE)
target_include_directories(minja SYSTEM INTERFACE "${EXTROSPECT_DEPS}")
