#include "base/ranks.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mpi.h"

namespace extrospect {
namespace {

std::map<std::string, std::string> environment;

const char* Get(const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : found->second.c_str();
}

Launch LaunchIn(std::map<std::string, std::string> variables) {
  environment = std::move(variables);
  return LaunchFromEnvironment(Get);
}

TEST(RanksTest, TheEnvironmentSaysHowManyThereAre) {
  EXPECT_EQ(LaunchIn({}).size, 1);
  EXPECT_EQ(LaunchIn({{"OMPI_COMM_WORLD_SIZE", "1"}}).size, 1);
  EXPECT_EQ(LaunchIn({{"OMPI_COMM_WORLD_SIZE", "4"}}).size, 4);
  EXPECT_EQ(LaunchIn({{"PMI_SIZE", "3"}, {"PMI_RANK", "0"}}).size, 3);
}

TEST(RanksTest, ABatchScriptOfManyTasksIsOneProcess) {
  EXPECT_EQ(LaunchIn({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}).size, 1);
  EXPECT_EQ(LaunchIn({{"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "1"}}).size, 1);
  // mpirun inside of a batch script.
  EXPECT_EQ(LaunchIn({{"SLURM_NTASKS", "8"}, {"OMPI_COMM_WORLD_SIZE", "2"}}).size, 2);
}

TEST(RanksTest, SrunWithoutPmiIsNotConnected) {
  const Launch without = LaunchIn({{"SLURM_STEP_NUM_TASKS", "8"}});
  EXPECT_EQ(without.size, 8);
  EXPECT_FALSE(without.connected);
  const Launch with = LaunchIn({{"SLURM_STEP_NUM_TASKS", "8"}, {"PMIX_RANK", "2"}});
  EXPECT_EQ(with.size, 8);
  EXPECT_TRUE(with.connected);
}

TEST(RanksTest, WithoutMpiSeveralProcessesAreAnError) {
  if (mpi::kBuiltIn) GTEST_SKIP() << "built with MPI";
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  EXPECT_THROW(RanksSession(), Error);
  ::unsetenv("OMPI_COMM_WORLD_SIZE");
  const RanksSession alone;
  EXPECT_FALSE(alone.ranks().several());
}

TEST(RanksTest, AloneThereIsNothingToDo) {
  const Ranks ranks;
  EXPECT_TRUE(ranks.first());
  EXPECT_FALSE(ranks.several());
  std::vector<float> numbers = {1, 2};
  ranks.SumInPlace(numbers);
  ranks.Broadcast(std::as_writable_bytes(std::span(numbers)));
  ranks.Barrier();
  EXPECT_EQ(numbers, std::vector<float>({1, 2}));
}

}  // namespace
}  // namespace extrospect
