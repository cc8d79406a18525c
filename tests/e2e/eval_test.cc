// A whole evaluation by the program's commands, on a tiny model.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/e2e/program.h"
#include "tests/e2e/tiny_model.h"

namespace extrospect {
namespace {

using nlohmann::json;

class EvalTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) / ("eval_" + std::to_string(::getpid()));
    WriteTinyModel(PathOf("model"));
    json config = json::parse(std::ifstream(PathOf("model") + "/config.json"));
    config["max_position_embeddings"] = kContext;
    std::ofstream(PathOf("model") + "/config.json") << config.dump();
  }
  static constexpr size_t kContext = 1024;  // room for questions of single characters

  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string PathOf(const std::string& name) const { return (directory_ / name).string(); }

  // Transcripts of three feelings and of none, the last of which are longer than the model's
  // context; activations of `layers`; a probe of block 2.
  void Prepare(const std::string& layers, bool neutral_in_test = true) {
    const std::vector<std::string> words = {"angry", "calm", "sad", "nothing to report"};
    std::ofstream transcripts(PathOf("t.jsonl"));
    for (size_t i = 0; i < 60; ++i) {
      const std::string& word = words[i % words.size()];
      std::string split = i % 5 == 3 ? "dev" : i % 5 == 4 ? "test" : "train";
      if (split == "test" && word == words[3] && !neutral_in_test) split = "train";
      std::string text = "It is " + std::to_string(i * 7919 % 1000) + " o'clock.";
      if (i >= 40) text += std::string(kContext, 'x');
      transcripts << json{{"id", "t" + std::to_string(i)},
                          {"messages", {{{"role", "user"}, {"content", text}}}},
                          {"emotion", word},
                          {"holder", "user"},
                          {"split", split}}
                         .dump()
                  << "\n";
    }
    transcripts.close();
    ASSERT_EQ(Run({"extract", "--quiet", "--model", PathOf("model"), "--transcripts",
                   PathOf("t.jsonl"), "--output", PathOf("a.h5"), "--layers", layers, "--tokens",
                   "content", "--pool", "mean", "--truncate", "left", "--dtype", "f32"}),
              0);
    ASSERT_EQ(Run({"train", "--quiet", "--kind", "probe", "--activations", PathOf("a.h5"),
                   "--output", PathOf("probe"), "--set", "lexicon=labels", "--set",
                   R"(hooks=["blocks.2.hook_resid_post"])"}),
              0);
  }

  int Evaluate() const {
    return Run({"eval", "--quiet", "--model", PathOf("model"), "--activations", PathOf("a.h5"),
                "--decoder", PathOf("probe"), "--output", PathOf("report"), "--set", "bootstrap=50",
                "--set", "injected.random=2", "--set", "self_report.free_text=2"});
  }

  static int Run(const std::vector<std::string>& arguments) {
    return WaitFor(StartProgram(arguments));
  }

  std::filesystem::path directory_;
};

TEST_F(EvalTest, TranscriptsBeyondTheContextAreJudgedToo) {
  Prepare("0,2");
  ASSERT_EQ(Evaluate(), 0);
  std::set<std::string> read, injected;
  std::ifstream trials(PathOf("report") + "/trials.jsonl");
  for (std::string line; std::getline(trials, line);) {
    const json trial = json::parse(line);
    const std::string transcript = trial.at("transcript");
    if (trial.at("truth") == "injected") {
      injected.insert(transcript);
      EXPECT_EQ(trial.at("block"), 0);  // the only one below the probe's that the file holds
    } else if (trial.at("channel").get<std::string>().starts_with("text-only")) {
      read.insert(transcript);
    }
  }
  EXPECT_TRUE(read.contains("t59"));  // one that had to be cut
  EXPECT_FALSE(injected.empty());
  EXPECT_FALSE(injected.contains("t59"));  // no question fits behind it
}

TEST_F(EvalTest, WhatCannotBeInjectedIsSaidBeforeAnythingIsRead) {
  Prepare("0,2", /*neutral_in_test=*/false);
  EXPECT_EQ(Evaluate(), 1);
  EXPECT_FALSE(std::filesystem::exists(PathOf("report") + "/trials.jsonl.partial"));
  Prepare("2");
  EXPECT_EQ(Evaluate(), 1);  // no block below the probe's
}

}  // namespace
}  // namespace extrospect
