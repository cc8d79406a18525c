// Runs of two ranks under mpirun: training (ranks_program) and extraction (the program itself, on
// the model that EXTROSPECT_TEST_MODEL names).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "records/activations.h"
#include "tests/e2e/program.h"
#include "tests/e2e/tiny_model.h"

namespace extrospect {
namespace {

constexpr char kMpirun[] = EXTROSPECT_MPIRUN;
constexpr char kTranscripts[] = "datasets/emotions/transcripts.jsonl";

class RanksTest : public testing::Test {
 protected:
  void SetUp() override {
    if (kMpirun[0] == '\0') GTEST_SKIP() << "built without MPI";
    folder_ = std::filesystem::path(testing::TempDir()) / ("ranks_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string PathOf(const std::string& name) const { return (folder_ / name).string(); }
  std::string NewFolder(const std::string& name) const {
    std::filesystem::create_directories(folder_ / name);
    return PathOf(name);
  }

  // Runs a command by the shell and returns its exit code; both its streams go to out and err.
  int Run(const std::string& command) {
    const int status =
        std::system((command + " > '" + PathOf("out") + "' 2> '" + PathOf("err") + "'").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string Ranks(int n) const {
    return std::string("'") + kMpirun +
           "' --allow-run-as-root --oversubscribe --bind-to none -np " + std::to_string(n) + " ";
  }
  int Train(int ranks, const std::string& arguments) {
    return Run((ranks == 1 ? "" : Ranks(ranks)) + "'" + EXTROSPECT_RANKS_PROGRAM + "' " +
               arguments);
  }
  int Extract(int ranks, const std::string& arguments) {
    return Run((ranks == 1 ? "" : Ranks(ranks)) + "'" + EXTROSPECT_PROGRAM +
               "' extract --quiet --threads 1 --model '" + std::getenv("EXTROSPECT_TEST_MODEL") +
               "' --transcripts " + kTranscripts + " " + arguments);
  }
  std::string Said(const char* stream = "err") const { return ReadFile(PathOf(stream)); }

  std::filesystem::path folder_;
};

// Numbers that training logged, by evaluation: loss, dev loss, gradient norm.
std::vector<double> Curve(const std::string& folder) {
  std::vector<double> curve;
  for (const nlohmann::json& object : JsonLines(folder + "/metrics.jsonl")) {
    curve.push_back(object.at("dev").at("loss"));
    if (!object.contains("loss")) continue;
    curve.push_back(object.at("loss"));
    curve.push_back(object.at("gradient_norm"));
  }
  return curve;
}

void ExpectSameCurve(const std::string& a, const std::string& b) {
  const std::vector<double> first = Curve(a), second = Curve(b);
  ASSERT_EQ(first.size(), 11 + 2 * 10u);
  ASSERT_EQ(second.size(), first.size());
  EXPECT_LT(first[first.size() - 3], 0.5 * first[0]) << "nothing was learned";
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_NEAR(first[i], second[i], 1e-6 * std::abs(first[i])) << i;
  }
}

size_t Count(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++count;
  return count;
}

TEST_F(RanksTest, TwoRanksTrainAsOneWithTwiceTheAccumulation) {
  for (const std::string parts : {"2", "4", "5"}) {
    const std::string one = NewFolder("one" + parts), two = NewFolder("two" + parts);
    ASSERT_EQ(Train(1, one + " " + parts), 0) << Said();
    ASSERT_EQ(Train(2, two + " " + parts), 0) << Said();
    ExpectSameCurve(one, two);
  }
  // And not because parts made no difference.
  EXPECT_GT(std::abs(Curve(PathOf("two2")).back() / Curve(PathOf("two4")).back() - 1), 1e-3);
}

// The same of a real oracle, by the command.
TEST_F(RanksTest, TwoRanksTrainAnOracleAsOneWithTwiceTheAccumulation) {
  WriteTinyModel(PathOf("model"));
  std::ofstream transcripts(PathOf("transcripts.jsonl"));
  for (int i = 0; i < 20; ++i) {
    const char* const words[] = {"angry", "calm", "sad", "nothing to report"};
    transcripts << R"({"id": "t)" << i << R"(", "text": "It is )" << i * 7919 % 1000
                << R"( now.", "holder": "user", "split": ")" << (i % 5 == 4 ? "dev" : "train")
                << R"(", "emotion": ")" << words[i % 4] << "\"}\n";
  }
  transcripts.close();
  const std::string program = std::string("'") + EXTROSPECT_PROGRAM + "' ";
  const std::string model = " --quiet --threads 1 --model '" + PathOf("model") + "' ";
  ASSERT_EQ(Run(program + "extract" + model + "--transcripts '" + PathOf("transcripts.jsonl") +
                "' --output '" + PathOf("rows.h5") +
                "' --layers 2 --format raw --tokens all --pool mean --dtype f32 --store f32"),
            0)
      << Said();
  const auto losses = [&](int ranks, const std::string& output) {
    EXPECT_EQ(Run((ranks == 1 ? "" : Ranks(ranks)) + program + "train --kind oracle" + model +
                  "--activations '" + PathOf("rows.h5") + "' --output '" + PathOf(output) +
                  "' --set lexicon=labels --set selection=all --set dtype=f32 --set lora.rank=2"
                  " --set batch=4 --set micro_batch=2 --set steps=8 --set eval_every=1"
                  " --set eval_rows=4 --set max_answer_tokens=4"),
              0)
        << Said();
    std::vector<double> found;
    for (const nlohmann::json& event : JsonLines(PathOf(output + "/metrics.jsonl"))) {
      if (event["event"] == "oracle" && event.contains("loss")) found.push_back(event["loss"]);
    }
    return found;
  };
  const std::vector<double> one = losses(1, "one"), two = losses(2, "two");
  ASSERT_EQ(one.size(), 8u);
  ASSERT_EQ(two.size(), 8u);
  EXPECT_GT(std::abs(one.front() - one.back()), 1e-3) << "nothing was learned";
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(two[i], one[i], 1e-5 * one[i]) << i;
}

TEST_F(RanksTest, AStepThatOneRankCannotTakeIsTakenByNone) {
  const std::string one = NewFolder("one"), two = NewFolder("two"), without = NewFolder("without");
  ASSERT_EQ(Train(1, one + " 4 nan=3:10"), 0) << Said();
  ASSERT_EQ(Train(2, two + " 4 nan=3:10"), 0) << Said();
  EXPECT_EQ(Said("out"), "1 skipped\n");
  ExpectSameCurve(one, two);
}

TEST_F(RanksTest, OneRankIsInterruptedAndAllStopAndResume) {
  const std::string straight = NewFolder("straight"), stopped = NewFolder("stopped");
  ASSERT_EQ(Train(2, straight + " 4"), 0) << Said();
  EXPECT_EQ(Train(2, stopped + " 4 interrupt=1:17"), 130) << Said();
  EXPECT_EQ(Count(Said(), "interrupted"), 1u) << Said();
  ASSERT_TRUE(std::filesystem::exists(stopped + "/checkpoint.safetensors"));
  ASSERT_EQ(Train(2, stopped + " 4 resume"), 0) << Said();
  EXPECT_EQ(ReadFile(stopped + "/metrics.jsonl"), ReadFile(straight + "/metrics.jsonl"));
}

TEST_F(RanksTest, AFailureOfOneRankEndsAll) {
  EXPECT_EQ(Train(2, NewFolder("fail") + " 4 fail=1:5"), 1);
  EXPECT_EQ(Count(Said(), "this rank fails"), 1u) << Said();
  EXPECT_EQ(Count(Said(), "error of rank 1"), 1u) << Said();
}

TEST_F(RanksTest, MoreRanksThanPartsAreRefusedOnce) {
  EXPECT_EQ(Train(2, NewFolder("one_part") + " 1"), 2);
  EXPECT_EQ(Count(Said(), "more ranks than parts"), 1u) << Said();
}

TEST_F(RanksTest, CommandsOfOneProcessRefuseRanks) {
  EXPECT_EQ(Run(Ranks(2) + "'" + EXTROSPECT_PROGRAM + "' decode"), 2);
  EXPECT_EQ(Count(Said(), "not shared between processes"), 1u) << Said();
  EXPECT_EQ(Run(Ranks(2) + "'" + EXTROSPECT_PROGRAM +
                "' train --kind probe --activations x.h5 --output " + PathOf("probe")),
            2);
  EXPECT_EQ(Count(Said(), "not shared between processes"), 1u) << Said();
  EXPECT_EQ(Run(Ranks(2) + "'" + EXTROSPECT_PROGRAM + "' --version"), 0);
  EXPECT_EQ(Count(Said("out"), "\n"), 1u) << Said("out");
}

class ExtractRanksTest : public RanksTest {
 protected:
  void SetUp() override {
    if (std::getenv("EXTROSPECT_TEST_MODEL") == nullptr) GTEST_SKIP() << "no model";
    RanksTest::SetUp();
  }
};

constexpr char kFlags[] = " --layers 1,3 --tokens all --limit 40 --batch-tokens 256";

TEST_F(ExtractRanksTest, TwoRanksWriteTheRowsOfOne) {
  ASSERT_EQ(Extract(1, "--output " + PathOf("one.h5") + kFlags), 0) << Said();
  ASSERT_EQ(Extract(2, "--output " + PathOf("two.h5") + kFlags), 0) << Said();
  EXPECT_EQ(Count(Said("out"), "\n"), 1u) << Said("out");
  const std::vector<float> one = AllRows(PathOf("one.h5"));
  EXPECT_EQ(AllRows(PathOf("two.h5")), one);
  {
    // Open readers would lock the files that are continued below.
    const ActivationReader a(PathOf("one.h5")), b(PathOf("two.h5"));
    EXPECT_EQ(a.origin().config, b.origin().config);
    EXPECT_EQ(a.layout().position, b.layout().position);
  }
  // Both ranks had work.
  for (const char* const shard : {"rank-0.h5", "rank-1.h5"}) {
    const ActivationReader reader(PathOf("two.h5.shards/") + shard);
    EXPECT_GT(reader.layout().transcripts.size(), 5u) << shard;
    EXPECT_LT(reader.layout().transcripts.size(), 35u) << shard;
  }
  // What is there is not done again, by any number of processes.
  ASSERT_EQ(Extract(2, "--resume --output " + PathOf("two.h5") + kFlags), 0) << Said();
  EXPECT_EQ(Count(Said("out"), "already complete"), 1u);
  ASSERT_EQ(Extract(1, "--resume --output " + PathOf("two.h5") + kFlags), 0) << Said();
  EXPECT_EQ(Count(Said("out"), "already complete"), 1u);
  // A shard that is lost is an error, and made again.
  std::filesystem::remove(PathOf("two.h5.shards/rank-1.h5"));
  EXPECT_THROW(ActivationReader(PathOf("two.h5")), Error);
  ASSERT_EQ(Extract(2, "--resume --output " + PathOf("two.h5") + kFlags), 0) << Said();
  EXPECT_EQ(AllRows(PathOf("two.h5")), one);
  // One process replaces file and shards.
  ASSERT_EQ(Extract(1, "--output " + PathOf("two.h5") + kFlags), 0) << Said();
  EXPECT_FALSE(std::filesystem::exists(PathOf("two.h5.shards")));
  EXPECT_EQ(AllRows(PathOf("two.h5")), one);
}

TEST_F(ExtractRanksTest, KilledShardsAreResumed) {
  ASSERT_EQ(Extract(1, "--output " + PathOf("one.h5") + kFlags), 0) << Said();
  for (const char* const seconds : {"1.5", "2.5"}) {
    const std::string killed = "timeout -s KILL " + std::string(seconds);
    Run(Ranks(2) + killed + " '" + EXTROSPECT_PROGRAM + "' extract --quiet --threads 1 --model '" +
        std::getenv("EXTROSPECT_TEST_MODEL") + "' --transcripts " + kTranscripts +
        " --resume --output " + PathOf("two.h5") + kFlags);
  }
  ASSERT_EQ(Extract(2, "--resume --output " + PathOf("two.h5") + kFlags), 0) << Said();
  EXPECT_EQ(AllRows(PathOf("two.h5")), AllRows(PathOf("one.h5")));
}

TEST_F(ExtractRanksTest, MistakesAreSaidOnceWithTheirExitCode) {
  EXPECT_EQ(Extract(2, "--layers 99 --output " + PathOf("x.h5")), 2);
  EXPECT_EQ(Count(Said(), "error:"), 1u) << Said();
  EXPECT_EQ(Extract(2, "--layer 1 --output " + PathOf("x.h5")), 2);
  EXPECT_EQ(Extract(2, "--limit 3 --output /no/such/folder/x.h5"), 1);
  EXPECT_EQ(Count(Said(), "error:"), 1u) << Said();
}

}  // namespace
}  // namespace extrospect
