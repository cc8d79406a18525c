// How long something takes, whatever else the machine is doing.
#pragma once

#include <ctime>

namespace extrospect {

// How much slower instrumented programs are.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr double kSlowdown = 20;
#else
inline constexpr double kSlowdown = 1;
#endif

// Seconds of processor time that the process spends on `action`, as an ordinary build would. For
// tests that an algorithm is not quadratic: the clock on the wall would fail them on a busy
// machine.
template <typename Action>
double CpuSeconds(const Action& action) {
  const std::clock_t start = std::clock();
  action();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / kSlowdown;
}

}  // namespace extrospect
