#include <stdexcept>

#include "base/mpi.h"

namespace extrospect::mpi {

const bool kBuiltIn = false;

namespace {

[[noreturn]] void Bug() { throw std::logic_error("MPI was called in a build without it"); }

}  // namespace

std::pair<int, int> Start() { Bug(); }
void Finish() { Bug(); }
void Abort(int) { Bug(); }
void Sum(std::span<float>) { Bug(); }
void Sum(std::span<double>) { Bug(); }
void Broadcast(std::span<std::byte>) { Bug(); }
void Barrier() { Bug(); }

}  // namespace extrospect::mpi
