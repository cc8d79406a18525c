# Where tools/setup has put libtorch and minja, for whoever configures by hand. Sets
# EXTROSPECT_LIBTORCH and EXTROSPECT_DEPS where the command line and the environment did not.

if(NOT "$ENV{EXTROSPECT_CACHE}" STREQUAL "")
  set(extrospect_cache "$ENV{EXTROSPECT_CACHE}")
elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(extrospect_cache "$ENV{XDG_CACHE_HOME}/extrospect")
else()
  set(extrospect_cache "$ENV{HOME}/.cache/extrospect")
endif()

foreach(name EXTROSPECT_LIBTORCH EXTROSPECT_DEPS)
  if(NOT ${name} AND NOT "$ENV{${name}}" STREQUAL "")
    set(${name} "$ENV{${name}}")
  endif()
endforeach()
if(NOT EXTROSPECT_LIBTORCH)
  file(GLOB EXTROSPECT_LIBTORCH "${extrospect_cache}/venv/lib/python3*/site-packages/torch")
endif()
if(NOT EXTROSPECT_DEPS)
  set(EXTROSPECT_DEPS "${extrospect_cache}/deps")
endif()
