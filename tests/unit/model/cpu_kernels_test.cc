#include "model/forward/cpu_kernels.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <ctime>
#include <vector>

namespace extrospect {
namespace {

double Seconds(clockid_t clock) {
  timespec time;
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// at::parallel_for runs on one thread, without a word, where the compiler has no OpenMP.
TEST(CpuKernelsTest, RunOnAllThreads) {
#ifndef EXTROSPECT_HAS_OPENMP
  GTEST_SKIP() << "a compiler without OpenMP, of which the configuration warned";
#endif
  if (at::get_num_threads() < 2) GTEST_SKIP() << "one thread";
  constexpr int64_t kRows = 4096, kWidth = 1024;
  const std::vector<float> gate_up(2 * kRows * kWidth, 1.0f);
  std::vector<float> out(kRows * kWidth);
  const double process = Seconds(CLOCK_PROCESS_CPUTIME_ID), own = Seconds(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < 50; ++i) {
    cpu::GatedActivation(gate_up.data(), Activation::kSilu, kRows, kWidth, out.data());
  }
  const double all = Seconds(CLOCK_PROCESS_CPUTIME_ID) - process;
  EXPECT_GT(all, 1.3 * (Seconds(CLOCK_THREAD_CPUTIME_ID) - own));
}

}  // namespace
}  // namespace extrospect
