#include "base/ranks.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/mpi.h"

namespace extrospect {
namespace {

// How long rank 0 has to say an error before another rank says it, and what each rank adds, so
// that the others do not speak at once.
constexpr std::chrono::milliseconds kRankZeroFirst(1500), kNextRank(250);

int NumberOf(const char* text) { return text == nullptr ? 0 : std::atoi(text); }

}  // namespace

Launch LaunchFromEnvironment(const char* (*get)(const char*)) {
  if (const int size = NumberOf(get("OMPI_COMM_WORLD_SIZE")); size > 0) return {size, "mpirun"};
  // Slurm describes the step, not the job: a batch script that starts the program by itself is one
  // process, however many tasks the job may have.
  if (const int size = NumberOf(get("SLURM_STEP_NUM_TASKS")); size > 1) {
    const bool connected = get("PMIX_RANK") != nullptr || get("PMI_RANK") != nullptr;
    return {size, "srun", connected};
  }
  if (const int size = NumberOf(get("PMI_SIZE")); size > 0) return {size, "mpiexec"};
  return {};
}

void Ranks::SumInPlace(std::span<float> numbers) const {
  if (several()) mpi::Sum(numbers);
}
void Ranks::SumInPlace(std::span<double> numbers) const {
  if (several()) mpi::Sum(numbers);
}
void Ranks::Broadcast(std::span<std::byte> bytes) const {
  if (several()) mpi::Broadcast(bytes);
}
void Ranks::Barrier() const {
  if (several()) mpi::Barrier();
}

RanksSession::RanksSession() {
  const Launch launch =
      LaunchFromEnvironment([](const char* name) -> const char* { return std::getenv(name); });
  if (launch.size <= 1) return;
  const std::string started = std::to_string(launch.size) + " processes, started by " + launch.by;
  if (!mpi::kBuiltIn) {
    throw UsageError("this program was built without MPI and cannot share work between processes")
        .Found(started)
        .Hint("start it alone, or build it with Open MPI (Debian: libopenmpi-dev, openmpi-bin)");
  }
  if (!launch.connected) {
    throw UsageError("the processes cannot find each other")
        .Found(started + ", without PMI")
        .Hint("srun --mpi=pmix; 'srun --mpi=list' shows what there is");
  }
  const auto [rank, size] = mpi::Start();
  if (size != launch.size) {
    mpi::Finish();
    throw UsageError("the processes cannot find each other")
        .Expected(started)
        .Found("MPI sees " + std::to_string(size))
        .Hint("is the launcher of the same MPI as the program (Open MPI)?");
  }
  ranks_ = Ranks(rank, size);
  joined_ = true;
}

RanksSession::~RanksSession() { Abort(static_cast<int>(ExitCode::kFailed)); }

void RanksSession::Finish() {
  if (!joined_) return;
  ranks_.Barrier();
  mpi::Finish();
  joined_ = false;
}

void RanksSession::GiveWay() const {
  if (ranks_.first()) return;
  // From here on, to be told to stop is to stop.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  std::this_thread::sleep_for(kRankZeroFirst + ranks_.rank() * kNextRank);
}

void RanksSession::Abort(int code) {
  if (joined_) mpi::Abort(code);
}

}  // namespace extrospect
