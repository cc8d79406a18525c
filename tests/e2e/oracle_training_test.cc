// Oracles and their relatives by the program's commands, on a tiny model: the same seed gives the
// same bytes, a run that was killed and resumed too, a batch in parts the same losses; what was
// trained reads, and answers questions.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/tiny_model.h"

namespace extrospect {
namespace {

using nlohmann::json;

constexpr const char* kFiles[] = {"decoder.json", "weights.safetensors", "metrics.jsonl",
                                  "peft/adapter_config.json", "peft/adapter_model.safetensors"};

class OracleTrainingTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::path(testing::TempDir()) /
                 ("oracle_training_" + std::to_string(::getpid()));
    WriteTinyModel(PathOf("model"));
    std::ofstream transcripts(PathOf("transcripts.jsonl"));
    const std::vector<std::string> words = {"angry", "calm", "sad", "nothing to report"};
    for (int i = 0; i < 40; ++i) {
      transcripts << json{{"id", "t" + std::to_string(i)},
                          {"text", "It is " + std::to_string(i * 7919 % 1000) + " o'clock."},
                          {"emotion", words[static_cast<size_t>(i) % words.size()]},
                          {"holder", i % 3 == 0 ? "user" : "assistant"},
                          {"intensity", 1 + i % 5},
                          {"split", i % 5 == 4 ? "dev" : "train"}}
                         .dump()
                  << "\n";
    }
    transcripts.close();
    ASSERT_EQ(WaitFor(StartProgram({"extract",       "--quiet",
                                    "--model",       PathOf("model"),
                                    "--transcripts", PathOf("transcripts.jsonl"),
                                    "--output",      PathOf("rows.h5"),
                                    "--layers",      "1,2",
                                    "--format",      "raw",
                                    "--tokens",      "all",
                                    "--pool",        "mean",
                                    "--dtype",       "f32",
                                    "--store",       "f32"})),
              0);
  }

  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string PathOf(const std::string& name) const { return (directory_ / name).string(); }

  // Training into the folder `output` by these settings, over those that all tests share.
  pid_t Train(const std::string& output, const std::vector<std::string>& settings,
              bool resume = false) const {
    std::vector<std::string> arguments = {
        "train",   "--quiet",       "--kind",   "oracle",       "--activations", PathOf("rows.h5"),
        "--model", PathOf("model"), "--output", PathOf(output), "--threads",     "1"};
    if (resume) arguments.push_back("--resume");
    for (const char* const setting :
         {"lexicon=labels", "hooks=[\"blocks.2.hook_resid_post\"]", "selection=all", "dtype=f32",
          "lora.rank=2", "batch=4", "eval_rows=4", "max_answer_tokens=4", "resample.faint=0.5"}) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return StartProgram(arguments);
  }

  // Reads the training's rows with what was trained; the exit code.
  int Decode(const std::string& decoder) const {
    return WaitFor(StartProgram({"decode", "--quiet", "--decoder", PathOf(decoder), "--model",
                                 PathOf("model"), "--dtype", "f32", "--activations",
                                 PathOf("rows.h5"), "--output", PathOf("readings.jsonl")}));
  }

  // "loss" of every evaluation.
  std::vector<double> Losses(const std::string& output) const {
    std::vector<double> losses;
    for (const json& event : JsonLines(PathOf(output + "/metrics.jsonl"))) {
      if (event["event"] != "oracle" || !event.contains("loss")) continue;
      losses.push_back(event["loss"].get<double>());
    }
    return losses;
  }

  std::filesystem::path directory_;
};

TEST_F(OracleTrainingTest, KilledAndResumedEqualsUninterrupted) {
  const std::vector<std::string> settings = {"steps=300", "eval_every=100", "checkpoint_every=1",
                                             "lora.dropout=0.1"};
  ASSERT_EQ(WaitFor(Train("whole", settings)), 0);
  const auto checkpoint = PathOf("killed/checkpoint.safetensors");
  for (const int milliseconds : {0, 100}) {
    const pid_t child = Train("killed", settings, /*resume=*/milliseconds > 0);
    while (!std::filesystem::exists(checkpoint)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "ended without a checkpoint";
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ::kill(child, SIGKILL);
    ASSERT_EQ(WaitFor(child), -SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(PathOf("killed/decoder.json")));
  }
  ASSERT_EQ(WaitFor(Train("killed", settings, /*resume=*/true)), 0);
  for (const char* const file : kFiles) {
    EXPECT_EQ(ReadFile(PathOf("killed") + "/" + file), ReadFile(PathOf("whole") + "/" + file))
        << file;
  }
  EXPECT_FALSE(std::filesystem::exists(checkpoint));
}

TEST_F(OracleTrainingTest, ACheckpointOfOtherSettingsIsRefused) {
  const std::vector<std::string> settings = {"steps=400", "eval_every=400", "checkpoint_every=1"};
  const pid_t child = Train("killed", settings);
  while (!std::filesystem::exists(PathOf("killed/checkpoint.safetensors"))) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "ended without a checkpoint";
  }
  ::kill(child, SIGKILL);
  ASSERT_EQ(WaitFor(child), -SIGKILL);
  EXPECT_EQ(WaitFor(Train("killed", {"steps=401", "eval_every=400"}, /*resume=*/true)), 1);
}

TEST_F(OracleTrainingTest, ContextPredictionIsTrainedAndJudged) {
  const std::string tokens = PathOf("tokens.h5");
  ASSERT_EQ(WaitFor(StartProgram({"extract",       "--quiet",
                                  "--model",       PathOf("model"),
                                  "--transcripts", PathOf("transcripts.jsonl"),
                                  "--output",      tokens,
                                  "--layers",      "2",
                                  "--format",      "raw",
                                  "--tokens",      "all",
                                  "--pool",        "none",
                                  "--dtype",       "f32",
                                  "--store",       "f32"})),
            0);
  const std::vector<std::string> settings = {"steps=20", "eval_every=10", "context.share=0.8",
                                             "context.activations=" + tokens};
  ASSERT_EQ(WaitFor(Train("context", settings)), 0);
  std::vector<double> losses;
  for (const json& event : JsonLines(PathOf("context/metrics.jsonl"))) {
    if (!event.contains("dev") || !event["dev"].contains("context")) continue;
    losses.push_back(event["dev"]["context"]["loss"].get<double>());
    EXPECT_TRUE(event["dev"]["context"]["loss_shuffled"].is_number());
  }
  ASSERT_EQ(losses.size(), 3u);
  EXPECT_LT(losses.back(), losses.front());
  // Pooled rows have no neighbours to ask for.
  EXPECT_EQ(WaitFor(Train("pooled", {"steps=2", "eval_every=2", "context.share=0.5",
                                     "context.activations=" + PathOf("rows.h5")})),
            1);
}

TEST_F(OracleTrainingTest, AnExchangedAdapterIsNoticed) {
  ASSERT_EQ(WaitFor(Train("a", {"steps=2", "eval_every=2"})), 0);
  EXPECT_EQ(Decode("a"), 0);
  const std::string path = PathOf("a/peft/adapter_model.safetensors");
  std::string bytes = ReadFile(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteFileAtomically(path, bytes);
  EXPECT_EQ(Decode("a"), 1);
}

TEST_F(OracleTrainingTest, TheSameSeedGivesTheSameBytes) {
  const std::vector<std::string> settings = {"steps=4", "eval_every=2", "lora.dropout=0.1"};
  ASSERT_EQ(WaitFor(Train("a", settings)), 0);
  ASSERT_EQ(WaitFor(Train("b", settings)), 0);
  for (const char* const file : kFiles) {
    EXPECT_EQ(ReadFile(PathOf("a") + "/" + file), ReadFile(PathOf("b") + "/" + file)) << file;
  }
  std::vector<std::string> other = settings;
  other.push_back("seed=1");
  ASSERT_EQ(WaitFor(Train("c", other)), 0);
  EXPECT_NE(ReadFile(PathOf("a/peft/adapter_model.safetensors")),
            ReadFile(PathOf("c/peft/adapter_model.safetensors")));
}

TEST_F(OracleTrainingTest, TheReadingsShareIsTheBestOnDev) {
  const auto trained = [&](const std::string& output, const std::vector<std::string>& more) {
    std::vector<std::string> settings = {"steps=4", "eval_every=4"};
    settings.insert(settings.end(), more.begin(), more.end());
    EXPECT_EQ(WaitFor(Train(output, settings)), 0);
    std::vector<json> tried;
    for (const json& event : JsonLines(PathOf(output + "/metrics.jsonl"))) {
      if (event["event"] == "reading_share") tried.push_back(event);
    }
    const json decoder = json::parse(ReadFile(PathOf(output + "/decoder.json")));
    return std::pair(tried, decoder["oracle"]["reading_share"].get<double>());
  };
  const auto [tried, chosen] = trained("shared", {"input.reading_shares=[0,0.3,0.9]"});
  ASSERT_EQ(tried.size(), 3u);
  const auto best = std::min_element(tried.begin(), tried.end(), [](const auto& a, const auto& b) {
    return a["dev"]["cross_entropy"] < b["dev"]["cross_entropy"];
  });
  EXPECT_EQ(chosen, (*best)["share"].get<double>());
  EXPECT_NE(tried[0]["dev"]["cross_entropy"], tried[2]["dev"]["cross_entropy"]);
  EXPECT_EQ(trained("fixed", {"input.reading_shares=[0.3]"}).second, 0.3);
  const auto keeps_a_reading = [&](const std::string& output) {
    return ReadFile(PathOf(output + "/weights.safetensors")).find("naming.calm") !=
           std::string::npos;
  };
  EXPECT_TRUE(keeps_a_reading("fixed"));
  // What has no share is neither fitted nor kept.
  EXPECT_EQ(trained("answers", {"input.reading_shares=[0]"}).second, 0);
  EXPECT_FALSE(keeps_a_reading("answers"));
  EXPECT_NE(ReadFile(PathOf("fixed/metrics.jsonl")).find("\"lda\""), std::string::npos);
  EXPECT_EQ(ReadFile(PathOf("answers/metrics.jsonl")).find("\"lda\""), std::string::npos);
  // The plain oracle has no reading to share with.
  const auto plain = trained("plain", {"input.sharpness=[]"});
  EXPECT_TRUE(plain.first.empty());
  EXPECT_EQ(plain.second, 0);
}

// Noise and questions are those of the step, not of its parts; what is left is the order of sums.
TEST_F(OracleTrainingTest, ABatchInPartsHasTheSameLosses) {
  const std::vector<std::string> settings = {"steps=6", "eval_every=1"};
  ASSERT_EQ(WaitFor(Train("whole", settings)), 0);
  const std::vector<double> whole = Losses("whole");
  ASSERT_EQ(whole.size(), 6u);
  EXPECT_NE(whole.front(), whole.back());
  for (const char* const size : {"2", "3"}) {
    std::vector<std::string> in_parts = settings;
    in_parts.push_back(std::string("micro_batch=") + size);
    const std::string output = std::string("parts") + size;
    ASSERT_EQ(WaitFor(Train(output, in_parts)), 0);
    const std::vector<double> losses = Losses(output);
    ASSERT_EQ(losses.size(), whole.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      EXPECT_NEAR(losses[i], whole[i], 1e-4 * whole[i]) << size << " at a time, step " << i;
    }
  }
}

// The kinds that train vectors alone are trained, kept and read back like oracles.
TEST_F(OracleTrainingTest, VectorsAndAffineMapsAreTrainedAndReadBack) {
  for (const std::string kind : {"vector", "affine"}) {
    std::vector<std::string> arguments = {
        "train",   "--quiet",       "--kind",   kind,         "--activations", PathOf("rows.h5"),
        "--model", PathOf("model"), "--output", PathOf(kind), "--threads",     "1"};
    for (const char* const setting :
         {"lexicon=labels", "hooks=[\"blocks.2.hook_resid_post\"]", "selection=all", "dtype=f32",
          "batch=4", "eval_rows=4", "max_answer_tokens=4", "warmup=0", "steps=6", "eval_every=1"}) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    ASSERT_EQ(WaitFor(StartProgram(arguments)), 0);
    // Every step moved what is read on dev.
    std::vector<double> dev;
    for (const json& event : JsonLines(PathOf(kind + "/metrics.jsonl"))) {
      if (event["event"] == kind) dev.push_back(event["dev"]["cross_entropy"].get<double>());
    }
    ASSERT_EQ(dev.size(), 7u);
    for (size_t i = 1; i < dev.size(); ++i) EXPECT_NE(dev[i], dev[i - 1]) << kind << i;
    EXPECT_EQ(Decode(kind), 0);
    EXPECT_FALSE(std::filesystem::exists(PathOf(kind + "/peft")));
    const std::string weights = ReadFile(PathOf(kind + "/weights.safetensors"));
    EXPECT_NE(weights.find(kind == "vector" ? "vector.mlp.3" : "input.scale"), std::string::npos);
  }
}

TEST_F(OracleTrainingTest, QuestionsOfOnesOwnAreAnsweredByTheCommands) {
  ASSERT_EQ(WaitFor(Train("a", {"steps=4", "eval_every=4"})), 0);
  const std::string question = "Is the {holder} well?";
  const auto decode = [&](const std::string& output, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"decode",        "--quiet",
                                          "--decoder",     PathOf("a"),
                                          "--model",       PathOf("model"),
                                          "--dtype",       "f32",
                                          "--transcripts", PathOf("transcripts.jsonl"),
                                          "--format",      "raw",
                                          "--limit",       "6",
                                          "--output",      PathOf(output)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(WaitFor(StartProgram(arguments)), 0);
    return JsonLines(PathOf(output));
  };
  const std::vector<json> plain = decode("plain.jsonl", {});
  const std::vector<json> asked = decode("asked.jsonl", {"--question", question});
  const std::vector<json> sampled =
      decode("sampled.jsonl", {"--question", question, "--samples", "4"});
  ASSERT_EQ(plain.size(), 6u);
  ASSERT_EQ(asked.size(), 6u);
  ASSERT_EQ(sampled.size(), 6u);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(plain[i]["emotions"], asked[i]["emotions"]);
    EXPECT_NE(plain[i]["reading"], asked[i]["reading"]) << "the question was not asked";
    const double agree = sampled[i]["confidence"].get<double>() * 4;
    EXPECT_EQ(agree, std::round(agree));
    EXPECT_GE(agree, 1);
  }

  // The same about a span, by flags for scripts.
  const std::string command =
      std::string("'") + EXTROSPECT_PROGRAM + "' ask --decoder '" + PathOf("a") + "' --model '" +
      PathOf("model") + "' --dtype f32 --format raw --transcripts '" + PathOf("transcripts.jsonl") +
      "' --transcript t3 --span 1:4 --question '" + question + "' --samples 3 --json > '" +
      PathOf("answer.json") + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const json answer = json::parse(ReadFile(PathOf("answer.json")));
  EXPECT_EQ(answer["transcript"], "t3");
  EXPECT_EQ(answer["span"], json::parse("[1, 4]"));
  EXPECT_EQ(answer["question"], question);
  EXPECT_EQ(answer["emotions"].size(), 4u);
  EXPECT_TRUE(answer["answer"].is_string());
}

}  // namespace
}  // namespace extrospect
