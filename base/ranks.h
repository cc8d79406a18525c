// Several processes that share one run: ranks, started by mpirun or srun, joined by MPI.
//
// A program that was not started as one of several never touches MPI, whether it was built with it
// or not. Nothing here is thread-safe; call it from the main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace extrospect {

// This process among the ranks: a cheap handle, all copies of which mean the same. All ranks must
// call the collective functions in the same order. Every failure of communication is an Error.
class Ranks {
 public:
  // Alone: rank 0 of 1, and the functions below have nothing to do.
  Ranks() = default;

  int rank() const { return rank_; }
  int size() const { return size_; }
  // Whether this rank is the one that prints and writes what all have in common.
  bool first() const { return rank_ == 0; }
  bool several() const { return size_ > 1; }

  // Replaces the numbers by their sums over all ranks: the same bits on every rank.
  void SumInPlace(std::span<float> numbers) const;
  void SumInPlace(std::span<double> numbers) const;
  // Replaces the bytes (the numbers, the text) by those of rank 0; sizes of bytes must agree.
  void Broadcast(std::span<std::byte> bytes) const;
  void Broadcast(std::span<double> numbers) const { Broadcast(std::as_writable_bytes(numbers)); }
  // Returns when all ranks have called it. Waiting takes no processor time.
  void Barrier() const;

 private:
  friend class RanksSession;
  Ranks(int rank, int size) : rank_(rank), size_(size) {}

  int rank_ = 0;
  int size_ = 1;
};

// Number of processes that the environment says were started together, and by whom.
struct Launch {
  int size = 1;
  std::string by;  // "mpirun", "srun"; empty if alone
  // Whether the launcher offers what MPI needs to find the others.
  bool connected = true;
};

// Reads the environment through `get` (std::getenv's contract).
Launch LaunchFromEnvironment(const char* (*get)(const char* name));

// Joins the other ranks for the life of the program. Make one, first thing in main.
class RanksSession {
 public:
  // Throws UsageError if the environment says that there are several ranks which cannot be joined:
  // built without MPI, another MPI's launcher, or srun without PMI. Otherwise each would do all the
  // work and write the same files.
  RanksSession();
  // Ends the whole run if Finish() was not called.
  ~RanksSession();
  RanksSession(const RanksSession&) = delete;
  RanksSession& operator=(const RanksSession&) = delete;

  const Ranks& ranks() const { return ranks_; }

  // The good end. Waits for the others.
  void Finish();

  // The bad end, in two steps. What fails on one rank mostly fails on all, and should be said once:
  // before it says anything, a rank other than 0 waits here for a moment, in which rank 0 may end
  // it.
  void GiveWay() const;
  // Ends all ranks. mpirun and srun return `code`. Returns if this rank is alone.
  void Abort(int code);

 private:
  Ranks ranks_;
  bool joined_ = false;
};

}  // namespace extrospect
