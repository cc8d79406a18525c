// Attention over tokens, from an activation file in which one token of each transcript tells.
#include "train/linear/token_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "decode/load.h"
#include "tests/unit/train/synthetic.h"
#include "train/options.h"
#include "train/run.h"

namespace extrospect {
namespace {

using synthetic::Folder;
using synthetic::kHooks;
using synthetic::kWidth;
using synthetic::kWords;

constexpr int64_t kTokens = 12;
constexpr int64_t kMark = kWidth - 1;  // the feature that marks the token that tells

// Every transcript has one token with a mark and a feature of its label, both in block 1; the other
// tokens are noise, and as loud.
std::filesystem::path WriteTokens(const std::string& name) {
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove(path);
  ActivationOrigin origin = synthetic::Origin();
  origin.config = R"({"tokens": "content", "pool": "none"})";
  ActivationLayout layout;
  std::vector<std::vector<float>> rows(kHooks.size());
  RandomStream random(5, "tokens");
  for (int64_t i = 0; i < 400; ++i) {
    const auto word = static_cast<int64_t>(i) % static_cast<int64_t>(kWords.size());
    auto& transcript = layout.transcripts.emplace_back();
    transcript.id = "t" + std::to_string(i);
    transcript.json = nlohmann::json{{"id", transcript.id},
                                     {"text", "x"},
                                     {"emotion", kWords[static_cast<size_t>(word)]},
                                     {"holder", "user"},
                                     {"split", i % 5 == 3   ? "dev"
                                               : i % 5 == 4 ? "test"
                                                            : "train"}}
                          .dump();
    transcript.first_row = layout.n_rows();
    transcript.n_rows = transcript.n_tokens = static_cast<uint32_t>(kTokens);
    const auto telling = static_cast<int64_t>(random.Below(static_cast<uint64_t>(kTokens)));
    for (int64_t token = 0; token < kTokens; ++token) {
      layout.transcript.push_back(static_cast<uint32_t>(i));
      layout.position.push_back(static_cast<uint32_t>(token));
      layout.token_id.push_back(1);
      for (size_t hook = 0; hook < kHooks.size(); ++hook) {
        for (int64_t d = 0; d < kWidth; ++d) {
          const bool tells = hook == 1 && token == telling && (d == word || d == kMark);
          rows[hook].push_back(static_cast<float>(random.Normal() + (tells ? 4 : 0)));
        }
      }
    }
  }
  ActivationWriter writer(path, origin, layout, kHooks, StoreType::kFloat32, false);
  for (size_t hook = 0; hook < kHooks.size(); ++hook) {
    writer.Write(hook, 0, std::as_bytes(std::span(rows[hook])));
  }
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < layout.transcripts.size(); ++i) all.push_back(i);
  writer.MarkDone(all);
  writer.Finish();
  return path;
}

TrainingRun RunOf(const std::filesystem::path& activations, const std::filesystem::path& output,
                  const std::vector<std::string>& set) {
  TrainingRun run = {.kind = "probe",
                     .activations = activations,
                     .targets = "",
                     .output = output,
                     .config = TrainingConfig("probe")};
  run.config.Set("lexicon=labels");
  run.config.Set("attention.learning_rate=0.02");
  for (const std::string& assignment : set) run.config.Set(assignment);
  return run;
}

std::string Bytes(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(TokenAttentionTest, FindsTheTokenThatTells) {
  const auto activations = WriteTokens("attention.h5");
  const auto mean =
      Train(RunOf(activations, Folder("attention_mean"), {"pool=mean"})).at("test").at("top1");
  const auto folder = Folder("attention_learned");
  const auto learned = Train(RunOf(activations, folder, {})).at("test").at("top1");
  EXPECT_LT(mean.get<double>(), 0.75);
  EXPECT_GT(learned.get<double>(), mean.get<double>() + 0.15);

  // The folder reads as it did in training, and the same run gives the same bytes.
  const auto decoder = LoadDecoder(folder, at::kCPU);
  EXPECT_EQ(decoder->info().pool, "attention");
  const ActivationReader reader(activations);
  LabelOptions options;
  options.lexicon = "labels";
  const LabelledTranscripts labelled(reader, options);
  const DecoderInfo& info = decoder->info();
  const RowSet set = LoadRowSet(reader, labelled,
                                {info.hooks, info.selection, info.pool, info.token_pool}, at::kCPU);
  const at::Tensor test = set.Indices("test");
  const at::Tensor guess = decoder->Read(set.rows.index_select(0, test)).log_p.argmax(1);
  EXPECT_DOUBLE_EQ((guess == set.label.index_select(0, test)).to(at::kDouble).mean().item<double>(),
                   learned.get<double>());
  const auto again = Folder("attention_again");
  Train(RunOf(activations, again, {}));
  EXPECT_EQ(Bytes(again / kPoolFile), Bytes(folder / kPoolFile));
  EXPECT_EQ(Bytes(again / "weights.safetensors"), Bytes(folder / "weights.safetensors"));

  // A row is the pool of its tokens.
  const RowPlan plan = PlanRows(reader, info.selection, info.pool);
  const at::Tensor tokens = LoadSources(reader, plan.rows[7], info.hooks);
  EXPECT_EQ(tokens.size(0), kTokens);
  EXPECT_TRUE(at::allclose(info.token_pool(tokens), set.rows[7]));
}

TEST(TokenAttentionTest, StaysWithTheMeanWhereNothingIsGained) {
  const auto folder = Folder("attention_useless");
  Train(RunOf(WriteTokens("attention_useless.h5"), folder, {"attention.learning_rate=0"}));
  const auto decoder = LoadDecoder(folder, at::kCPU);
  EXPECT_EQ(decoder->info().pool, "mean");
  EXPECT_FALSE(decoder->info().token_pool.attends());
  EXPECT_FALSE(std::filesystem::exists(folder / kPoolFile));
}

TEST(TokenAttentionTest, NeedsSingleTokens) {
  const auto pooled = synthetic::WriteActivations("attention_pooled.h5");
  try {
    Train(RunOf(pooled, Folder("attention_pooled"), {"pool=attention", "selection=content"}));
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--pool none"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace extrospect
