// The few calls of MPI that ranks are made of. Internal to base/; mpi.cc has them where the build
// found MPI, no_mpi.cc where it did not.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace extrospect::mpi {

extern const bool kBuiltIn;

// Returns rank and size. The functions below may be called after it, and only where kBuiltIn.
std::pair<int, int> Start();
void Finish();
[[noreturn]] void Abort(int code);

void Sum(std::span<float> numbers);
void Sum(std::span<double> numbers);
void Broadcast(std::span<std::byte> bytes);
void Barrier();

}  // namespace extrospect::mpi
