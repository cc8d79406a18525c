// The extract command on the default model. EXTROSPECT_TEST_MODEL names the GGUF file.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "records/activations.h"
#include "tests/e2e/program.h"

namespace extrospect {
namespace {

constexpr char kTranscripts[] = "datasets/emotions/transcripts.jsonl";

class ExtractTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("EXTROSPECT_TEST_MODEL") == nullptr) GTEST_SKIP() << "no model";
    directory_ =
        std::filesystem::path(testing::TempDir()) / ("extract_test_" + std::to_string(::getpid()));
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }

  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string PathOf(const char* name) const { return (directory_ / name).string(); }

  static pid_t Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {"extract", "--quiet", "--model", std::getenv("EXTROSPECT_TEST_MODEL")});
    return StartProgram(std::move(arguments));
  }

  std::filesystem::path directory_;
};

TEST_F(ExtractTest, KilledAndResumedEqualsUninterrupted) {
  const auto run = [&](const char* output, bool resume) {
    std::vector<std::string> arguments = {
        "--transcripts", kTranscripts, "--output", PathOf(output), "--layers",       "2,4",
        "--tokens",      "all",        "--limit",  "60",           "--batch-tokens", "512"};
    if (resume) arguments.push_back("--resume");
    return Start(arguments);
  };
  ASSERT_EQ(WaitFor(run("whole.h5", false)), 0);
  // Killed as soon as the file is there, and again while it grows.
  for (const int milliseconds : {0, 150, 400}) {
    const pid_t child = run("killed.h5", milliseconds > 0);
    while (!std::filesystem::exists(PathOf("killed.h5"))) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ::kill(child, SIGKILL);
    WaitFor(child);
  }
  ASSERT_EQ(WaitFor(run("killed.h5", true)), 0);
  EXPECT_TRUE(ReadFile(PathOf("killed.h5")) == ReadFile(PathOf("whole.h5")));
}

// The same rows, whatever else is in the batch, whether the prefix is shared, however they are
// pooled: up to float32 rounding.
TEST_F(ExtractTest, PooledRowsAreMeansOfTheTokensRows) {
  const auto run = [&](const char* output, const char* pool, const char* batch) {
    return WaitFor(Start({"--transcripts", kTranscripts, "--output", PathOf(output), "--layers",
                          "3", "--tokens", "all", "--limit", "12", "--dtype", "f32", "--store",
                          "f32", "--pool", pool, "--batch-tokens", batch}));
  };
  ASSERT_EQ(run("tokens.h5", "none", "256"), 0);
  ASSERT_EQ(run("means.h5", "mean", "4096"), 0);
  const ActivationReader tokens(PathOf("tokens.h5")), means(PathOf("means.h5"));
  const std::vector<float> token_rows = AllRows(PathOf("tokens.h5"));
  const std::vector<float> mean_rows = AllRows(PathOf("means.h5"));
  const auto width = static_cast<size_t>(tokens.origin().d_model);
  for (size_t t = 0; t < tokens.layout().transcripts.size(); ++t) {
    const auto& span = tokens.layout().transcripts[t];
    ASSERT_EQ(span.n_rows, span.n_tokens);
    double error = 0, norm = 0;
    for (size_t d = 0; d < width; ++d) {
      double mean = 0;
      for (uint64_t r = span.first_row; r < span.first_row + span.n_rows; ++r) {
        mean += token_rows[r * width + d] / span.n_rows;
      }
      error += std::pow(mean - mean_rows[t * width + d], 2);
      norm += mean * mean;
    }
    EXPECT_LE(std::sqrt(error / norm), 1e-5) << span.id;
  }
}

TEST_F(ExtractTest, ExitCodesTellUsageFromFailure) {
  EXPECT_EQ(
      WaitFor(Start({"--transcripts", kTranscripts, "--output", PathOf("x.h5"), "--layers", "99"})),
      2);
  EXPECT_EQ(WaitFor(Start({"--transcripts", "/no/such.jsonl", "--output", PathOf("x.h5")})), 1);
  EXPECT_EQ(WaitFor(Start({"--transcripts", kTranscripts, "--output", PathOf("x.h5"),
                           "--batch-tokens", "2305843009213693952"})),
            2);
  EXPECT_FALSE(std::filesystem::exists(PathOf("x.h5")));
}

// Whose last tokens are the same.
TEST_F(ExtractTest, OtherTranscriptsAreNotResumed) {
  const auto run = [&](const char* text) {
    WriteFileAtomically(
        PathOf("t.jsonl"),
        std::string(R"({"id":"a","messages":[{"role":"user","content":")") + text + R"("}]})");
    return WaitFor(Start({"--transcripts", PathOf("t.jsonl"), "--output", PathOf("one.h5"),
                          "--layers", "2", "--tokens", "last", "--resume"}));
  };
  EXPECT_EQ(run("yes"), 0);
  EXPECT_EQ(run("no"), 1);
  EXPECT_EQ(run("yes"), 0);
}

}  // namespace
}  // namespace extrospect
