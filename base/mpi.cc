#include "base/mpi.h"

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/error.h"

namespace extrospect::mpi {

const bool kBuiltIn = true;

namespace {

// MPI counts in int.
constexpr size_t kMaxCount = size_t{1} << 28;

void Check(int status, const char* action) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw Error(std::string("the ranks cannot ") + action).Found(text);
}

template <typename T>
void SumOf(std::span<T> numbers, MPI_Datatype type) {
  for (size_t begin = 0; begin < numbers.size(); begin += kMaxCount) {
    const int count = static_cast<int>(std::min(kMaxCount, numbers.size() - begin));
    Check(MPI_Allreduce(MPI_IN_PLACE, numbers.data() + begin, count, type, MPI_SUM, MPI_COMM_WORLD),
          "add up numbers");
  }
}

}  // namespace

std::pair<int, int> Start() {
  // Threads of torch and of file writing run beside the one that calls MPI.
  int provided = 0;
  Check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "start MPI");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int rank = 0, size = 1;
  Check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "count themselves");
  Check(MPI_Comm_size(MPI_COMM_WORLD, &size), "count themselves");
  return {rank, size};
}

void Finish() { MPI_Finalize(); }

void Abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);  // not reached where MPI does what it promises
}

void Sum(std::span<float> numbers) { SumOf(numbers, MPI_FLOAT); }
void Sum(std::span<double> numbers) { SumOf(numbers, MPI_DOUBLE); }

void Broadcast(std::span<std::byte> bytes) {
  for (size_t begin = 0; begin < bytes.size(); begin += kMaxCount) {
    const int count = static_cast<int>(std::min(kMaxCount, bytes.size() - begin));
    Check(MPI_Bcast(bytes.data() + begin, count, MPI_BYTE, 0, MPI_COMM_WORLD), "share numbers");
  }
}

void Barrier() {
  MPI_Request request;
  Check(MPI_Ibarrier(MPI_COMM_WORLD, &request), "wait for each other");
  // MPI's own waiting keeps a core busy, which the rank that is waited for may need.
  std::chrono::microseconds pause(50);
  while (true) {
    int done = 0;
    Check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "wait for each other");
    if (done != 0) return;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20000));
  }
}

}  // namespace extrospect::mpi
