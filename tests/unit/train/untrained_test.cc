// Kinds in which nothing is learned: chosen on dev, saved, loaded, read.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "decode/activation_rows.h"
#include "decode/load.h"
#include "extract/file_sink.h"
#include "tests/unit/decode/tiny_model.h"
#include "tests/unit/train/synthetic.h"
#include "train/options.h"
#include "train/run.h"

namespace extrospect {
namespace {

using nlohmann::json;
using synthetic::Folder;

class UntrainedTest : public testing::TestWithParam<std::string> {
 protected:
  UntrainedTest()
      : model_folder_(tiny::ModelFolder("untrained_model")), model_(tiny::Load(model_folder_)) {
    ActivationOrigin origin = synthetic::Origin();
    const std::string config = origin.config;
    origin = OriginOf(*model_);
    origin.compute_dtype = "f32";
    origin.config = config;
    activations_ = synthetic::WriteActivations("untrained.h5", 10, /*bare=*/false, origin);
  }

  TrainingRun RunOf(const std::filesystem::path& output) const {
    TrainingRun run = {.kind = GetParam(),
                       .activations = activations_,
                       .targets = "",
                       .output = output,
                       .model = model_folder_,
                       .config = TrainingConfig(GetParam()),
                       .device = at::kCPU};
    run.config.Set("lexicon=labels");
    run.config.Set("dtype=f32");
    if (GetParam() == "selfie") {
      run.config.Set(R"(prompt.questions=["", "What is it?"])");
      run.config.Set("injection.blocks=[-1, 1]");
      run.config.Set("injection.coefficients=[1.0]");
      run.config.Set("max_answer_tokens=8");
    }
    return run;
  }

  std::filesystem::path model_folder_, activations_;
  std::shared_ptr<const LanguageModel> model_;
};

TEST_P(UntrainedTest, ReadsAsItWasSaved) {
  const auto folder = Folder("untrained_" + GetParam());
  const auto figures = Train(RunOf(folder));
  EXPECT_GT(figures.at("dev").at("n").get<int64_t>(), 0);
  const auto decoder = LoadDecoder(folder, at::kCPU, model_);
  const ActivationReader reader(activations_);
  const at::Tensor rows =
      LoadRows(reader, PlanRows(reader, decoder->info().selection, decoder->info().pool),
               decoder->info().hooks, decoder->info().token_pool)
          .narrow(0, 0, 6);
  const std::vector<std::string> holders = {"user", "user", "", "assistant", "character", "user"};
  const Scores scores = decoder->Read(rows, holders);
  const at::Tensor sums = scores.log_p.exp().sum(1);
  EXPECT_TRUE(at::allclose(sums, at::ones_like(sums), 1e-4, 1e-5));
  EXPECT_EQ(decoder->Sentences(rows, scores, holders).size(), 6u);
  // The row is read: another one has other scores.
  EXPECT_FALSE(at::allclose(scores.log_p[0], scores.log_p[1], 1e-5, 1e-5));

  // The same again gives the same bytes; what was tried is on record, and the best of it was taken.
  const auto again = Folder("untrained_again_" + GetParam());
  Train(RunOf(again));
  const auto bytes = [](const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  };
  for (const char* const file : {"decoder.json", "weights.safetensors"}) {
    EXPECT_EQ(bytes(folder / file), bytes(again / file)) << file;
  }
  double least = 1e9;
  json best;
  size_t tried = 0;
  std::ifstream metrics(folder / "metrics.jsonl");
  for (std::string line; std::getline(metrics, line);) {
    const json event = json::parse(line);
    if (event["event"] != "prompt" && event["event"] != "lens") continue;
    ++tried;
    if (event["dev"]["cross_entropy"].get<double>() < least) {
      least = event["dev"]["cross_entropy"];
      best = event;
    }
  }
  EXPECT_EQ(tried, GetParam() == "selfie" ? 16u : 4u);  // 2 questions × 2 rules × 2 blocks × 2
  const json saved = json::parse(bytes(folder / "decoder.json"))[GetParam()];
  EXPECT_EQ(saved["minus_prior"], best["minus_prior"]);
  if (GetParam() == "selfie") {
    EXPECT_EQ(saved["question"], best["question"]);
    EXPECT_EQ(saved["injection"]["block"], best["block"]);
    EXPECT_EQ(saved["injection"]["rule"], best["rule"]);
  } else {
    EXPECT_EQ(saved["centre"], best["centre"]);
  }
}

TEST_P(UntrainedTest, NothingGoesWithoutTheModel) {
  const auto folder = Folder("untrained_alone_" + GetParam());
  Train(RunOf(folder));
  const auto expect = [](const std::function<void()>& action, ExitCode code,
                         const std::string& part) {
    try {
      action();
      ADD_FAILURE() << "nothing was thrown; expected " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect([&] { LoadDecoder(folder, at::kCPU); }, ExitCode::kUsage, "--model with " + model_->name);
  TrainingRun run = RunOf(Folder("untrained_none"));
  run.model.clear();
  expect([&] { Train(run); }, ExitCode::kUsage, "--model");
  // Another model, named with the one that was expected.
  auto other = std::make_shared<LanguageModel>(LoadModel(model_folder_, WeightOptions{}));
  other->sha256 = std::string(64, 'f');
  expect([&] { LoadDecoder(folder, at::kCPU, other); }, ExitCode::kFailed, std::string(64, 'f'));
  // A damaged field is named.
  json object = json::parse(std::ifstream(folder / "decoder.json"));
  object[GetParam()]["minus_prior"] = 1;
  std::ofstream(folder / "decoder.json") << object.dump();
  expect([&] { LoadDecoder(folder, at::kCPU, model_); }, ExitCode::kFailed, "minus_prior");
}

INSTANTIATE_TEST_SUITE_P(Kinds, UntrainedTest, testing::Values("selfie", "logit-lens"),
                         [](const auto& param) {
                           return param.param == "selfie" ? "Selfie" : "LogitLens";
                         });

}  // namespace
}  // namespace extrospect
