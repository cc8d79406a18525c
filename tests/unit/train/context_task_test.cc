#include "train/oracle/context_task.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/e2e/tiny_model.h"
#include "tests/unit/train/synthetic.h"

namespace extrospect {
namespace {

constexpr int64_t kTokens = 9;  // of a transcript, one row each
constexpr int64_t kGap = 5;     // the token before this place was not extracted

// Transcripts of letters, three of one situation, without splits. A row's first number says which
// row it is.
class ContextTaskTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto folder = std::filesystem::path(testing::TempDir()) / "context_task_model";
    WriteTinyModel(folder);
    model_ = LoadModel(folder, std::nullopt);
    path_ = std::filesystem::path(testing::TempDir()) / "context_task.h5";
    std::filesystem::remove(path_);
    ActivationOrigin origin = synthetic::Origin();
    origin.config = R"({"tokens": ["all"], "pool": "none"})";
    ActivationLayout layout;
    std::vector<float> rows;
    for (uint32_t t = 0; t < 60; ++t) {
      auto& transcript = layout.transcripts.emplace_back();
      transcript.id = "t" + std::to_string(t);
      transcript.json = nlohmann::json{{"id", transcript.id},
                                       {"text", "x"},
                                       {"emotion", synthetic::kWords[t % 4]},
                                       {"situation", "s" + std::to_string(t / 3)}}
                            .dump();
      transcript.first_row = layout.n_rows();
      transcript.n_rows = kTokens;
      transcript.n_tokens = kTokens + 1;
      for (uint32_t i = 0; i < kTokens; ++i) {
        layout.transcript.push_back(t);
        layout.position.push_back(i < kGap ? i : i + 1);
        const std::string letter(1, static_cast<char>('a' + (t * 7 + i) % 26));
        layout.token_id.push_back(model_.tokenizer->Encode(letter, false).ids.at(0));
        rows.push_back(static_cast<float>(rows.size() / synthetic::kWidth));
        rows.resize(rows.size() + synthetic::kWidth - 1);
      }
    }
    ActivationWriter writer(path_, origin, layout, {synthetic::kHooks[1]}, StoreType::kFloat32,
                            false);
    writer.Write(0, 0, std::as_bytes(std::span(rows)));
    std::vector<uint32_t> all;
    for (uint32_t t = 0; t < layout.transcripts.size(); ++t) all.push_back(t);
    writer.MarkDone(all);
    writer.Finish();
    info_.model_name = origin.model_name;
    info_.model_sha256 = origin.model_sha256;
    info_.tokenizer_sha256 = origin.tokenizer_sha256;
    info_.chat_template_sha256 = origin.chat_template_sha256;
    info_.d_model = origin.d_model;
    info_.hooks = {synthetic::kHooks[1]};
  }

  LanguageModel model_;
  std::filesystem::path path_;
  DecoderInfo info_;
};

TEST_F(ContextTaskTest, AsksForTheNeighboursOfTheRow) {
  const ActivationReader reader(path_);
  LabelOptions options;
  options.lexicon = "labels";
  const LabelledTranscripts labelled(reader, options);
  const ContextTask task(path_, info_, labelled, model_, 4);
  std::map<std::string, std::string> split;
  for (const Example& example : labelled.examples()) split[example.id] = example.split;
  RandomStream random(3, "test");
  std::set<size_t> lengths;
  for (int i = 0; i < 600; ++i) {
    const bool held_out = i % 2 == 1;
    const ContextExample example = task.Draw(held_out, random);
    const auto row = static_cast<int64_t>(example.row[0][0].item<float>());
    const int64_t t = row / kTokens, place = row % kTokens;
    EXPECT_EQ(split.at("t" + std::to_string(t)), held_out ? "dev" : "train");

    const auto n = static_cast<int64_t>(example.question.answer.size());
    const bool after = example.question.question.find("before") == std::string::npos;
    const int64_t first = after ? place + 1 : place - n;
    std::string expected;
    for (int64_t k = first; k < first + n; ++k) {
      expected += static_cast<char>('a' + (t * 7 + k) % 26);
    }
    EXPECT_EQ(example.question.answer, expected) << example.question.question;
    EXPECT_EQ(std::min(first, place) < kGap, std::max(first + n - 1, place) < kGap)
        << "a token is missing in between";
    lengths.insert(static_cast<size_t>(n));
  }
  EXPECT_EQ(lengths, (std::set<size_t>{1, 2, 3, 4}));
}

TEST_F(ContextTaskTest, PooledActivationsDoNotServe) {
  const ActivationReader reader(path_);
  LabelOptions options;
  options.lexicon = "labels";
  const LabelledTranscripts labelled(reader, options);
  const auto pooled = synthetic::WriteActivations("context_task_pooled.h5");
  EXPECT_THROW(ContextTask(pooled, info_, labelled, model_, 4), Error);
}

}  // namespace
}  // namespace extrospect
