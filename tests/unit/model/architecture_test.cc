// Configurations as models publish them, and as nobody should
// (tools/fixtures/make_architectures.py).
#include "model/config/architecture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "model/files/gguf.h"
#include "tests/unit/model/error_message.h"
#include "tests/unit/model/gguf_builder.h"

namespace extrospect {
namespace {

using nlohmann::json;

Architecture Read(const json& config) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) /
      testing::UnitTest::GetInstance()->current_test_info()->name();
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << config.dump();
  return ArchitectureFromDirectory(folder);
}

class ArchitectureTest : public testing::Test {
 protected:
  ArchitectureTest() {
    for (const json& model : json::parse(ReadFile("tests/parity/fixtures/architectures.json"))) {
      configs_[model["name"]] = model["config"];
      parameters_[model["name"]] = model["parameters"];
    }
  }

  Architecture Published(const std::string& name) { return Read(configs_.at(name)); }
  std::string MessageWith(const std::string& name, const std::string& key, const json& value) {
    json config = configs_.at(name);
    config[key] = value;
    return MessageOf([&] { Read(config); });
  }

  std::map<std::string, json> configs_;
  std::map<std::string, int64_t> parameters_;
};

TEST_F(ArchitectureTest, CountsTheParametersThatTheReferenceCounts) {
  ASSERT_GE(configs_.size(), 30u);
  for (const auto& [name, parameters] : parameters_) {
    EXPECT_EQ(CountParameters(Published(name)), parameters) << name;
  }
}

TEST_F(ArchitectureTest, ReadsWhatDistinguishesTheFamilies) {
  const Architecture llama = Published("meta-llama/Llama-3.1-8B-Instruct");
  EXPECT_EQ(llama.ropes[0].scaling, Rope::Scaling::kLlama3);
  EXPECT_EQ(llama.ropes[0].factor, 8.0);
  EXPECT_EQ(llama.ropes[0].original_context, 8192);

  const Architecture mistral = Published("mistralai/Mistral-7B-Instruct-v0.1");
  for (const BlockKind& block : mistral.blocks) EXPECT_EQ(block.window, 4096);
  for (const BlockKind& block : Published("mistralai/Mistral-7B-Instruct-v0.3").blocks) {
    EXPECT_EQ(block.window, 0);
  }

  const Architecture gemma = Published("google/gemma-2-27b-it");
  EXPECT_DOUBLE_EQ(gemma.attention_scale, 1.0 / std::sqrt(144.0));
  EXPECT_EQ(gemma.attention_softcap, 50.0);
  EXPECT_EQ(gemma.final_softcap, 30.0);
  EXPECT_EQ(gemma.blocks[0].window, 4096);
  EXPECT_EQ(gemma.blocks[1].window, 0);
  EXPECT_TRUE(gemma.norm_weight_plus_one);

  const Architecture moe = Published("Qwen/Qwen3-235B-A22B");
  EXPECT_EQ(moe.experts.n_experts, 128);
  EXPECT_EQ(moe.experts.n_active, 8);
  EXPECT_TRUE(moe.experts.normalize_weights);

  const Architecture olmo = Published("allenai/Olmo-3-7B-Instruct");
  EXPECT_EQ(olmo.norm_placement, NormPlacement::kPost);
  EXPECT_EQ(olmo.qk_norm, QkNorm::kWholeProjection);
  EXPECT_EQ(olmo.blocks[2].window, 4096);
  EXPECT_EQ(olmo.blocks[3].window, 0);
  EXPECT_EQ(olmo.ropes[olmo.blocks[2].rope].scaling, Rope::Scaling::kNone);
  EXPECT_EQ(olmo.ropes[olmo.blocks[3].rope].scaling, Rope::Scaling::kYarn);
}

// The text part says little more than its sizes; the rest is what the family's files leave out.
TEST_F(ArchitectureTest, FillsInWhatMultimodalFilesLeaveOut) {
  const Architecture a = Published("google/gemma-3-4b-it");
  EXPECT_EQ(a.family, "gemma3");
  EXPECT_EQ(a.vocab_size, 262208);
  EXPECT_EQ(a.n_heads, 8);
  EXPECT_EQ(a.n_kv_heads, 4);
  EXPECT_EQ(a.head_dim, 256);
  EXPECT_EQ(a.context_length, 131072);
  EXPECT_TRUE(a.tied_embeddings);
  EXPECT_EQ(a.blocks[4].window, 1024);
  EXPECT_EQ(a.blocks[5].window, 0);
  EXPECT_EQ(a.ropes[a.blocks[4].rope].base, 10000.0);
  EXPECT_EQ(a.ropes[a.blocks[4].rope].scaling, Rope::Scaling::kNone);
  EXPECT_EQ(a.ropes[a.blocks[5].rope].base, 1e6);
  EXPECT_EQ(a.ropes[a.blocks[5].rope].factor, 8.0);
}

// Newer files keep rotary positions in one place.
TEST_F(ArchitectureTest, ReadsNewerRopeParameters) {
  json config = configs_["meta-llama/Llama-3.1-8B-Instruct"];
  config["rope_parameters"] = config["rope_scaling"];
  config["rope_parameters"]["rope_theta"] = config["rope_theta"];
  config.erase("rope_theta");
  config.erase("rope_scaling");
  EXPECT_EQ(Read(config).ropes, Published("meta-llama/Llama-3.1-8B-Instruct").ropes);

  json gemma = configs_["google/gemma-3-1b-it"];
  gemma["rope_parameters"] = {
      {"full_attention", {{"rope_type", "default"}, {"rope_theta", gemma["rope_theta"]}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}}};
  gemma.erase("rope_theta");
  gemma.erase("rope_local_base_freq");
  EXPECT_EQ(Read(gemma).ropes, Published("google/gemma-3-1b-it").ropes);
}

TEST_F(ArchitectureTest, YarnStretchesTheContext) {
  json config = configs_["Qwen/Qwen2.5-7B-Instruct"];
  config["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  const Architecture a = Read(config);
  EXPECT_EQ(a.context_length, 131072);
  EXPECT_DOUBLE_EQ(a.ropes[0].attention_factor, 0.1 * std::log(4.0) + 1.0);
}

TEST_F(ArchitectureTest, NamesWhatItCannotUse) {
  const std::string llama = "meta-llama/Llama-3.1-8B-Instruct";
  EXPECT_PRED2(Contains, MessageWith(llama, "model_type", "mamba"), "mamba");
  EXPECT_PRED2(Contains, MessageWith(llama, "model_type", "mamba"), "qwen3_moe");
  EXPECT_PRED2(Contains, MessageWith(llama, "attention_bias", true), "attention_bias");
  EXPECT_PRED2(Contains, MessageWith(llama, "hidden_act", "relu"), "hidden_act");
  EXPECT_PRED2(Contains, MessageWith(llama, "partial_rotary_factor", 0.5), "partial_rotary");
  EXPECT_PRED2(Contains,
               MessageWith(llama, "rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}}),
               "longrope");
  EXPECT_PRED2(Contains, MessageWith(llama, "rope_scaling", {{"rope_type", "llama3"}}), "factor");
  EXPECT_PRED2(Contains, MessageWith("google/gemma-3-1b-it", "layer_types", json::array({"full"})),
               "layer_types");
}

TEST_F(ArchitectureTest, RefusesNonsense) {
  const std::string llama = "meta-llama/Llama-3.1-8B-Instruct";
  for (const json& bad : {json(0), json(-1), json(1.5), json("many"), json(int64_t{1} << 40)}) {
    for (const char* const key : {"hidden_size", "num_hidden_layers", "num_attention_heads",
                                  "num_key_value_heads", "head_dim", "vocab_size"}) {
      EXPECT_PRED2(Contains, MessageWith(llama, key, bad), key) << bad;
    }
  }
  EXPECT_PRED2(Contains, MessageWith(llama, "hidden_size", nullptr), "hidden_size");
  EXPECT_PRED2(Contains, MessageWith(llama, "rope_theta", "big"), "rope_theta");
  EXPECT_PRED2(Contains, MessageWith(llama, "num_key_value_heads", 5), "key heads");
  EXPECT_PRED2(Contains, MessageWith(llama, "head_dim", 7), "heads of size 7");
  EXPECT_PRED2(Contains, MessageWith("Qwen/Qwen3-235B-A22B", "num_experts_per_tok", 129),
               "129 of 128 experts");
  EXPECT_PRED2(Contains, MessageOf([] { Read(json::array()); }), "a JSON object");
  const auto text = [](const std::string& config) {
    return MessageOf([&] { ArchitectureFromConfigText(config, "here"); });
  };
  EXPECT_PRED2(Contains, text("{"), "here");
  EXPECT_PRED2(Contains, text(std::string(1'000'000, '[')), "levels");
  // Sizes that pass one by one, but not together.
  json config = configs_.at("Qwen/Qwen3-235B-A22B");
  for (const char* const key : {"hidden_size", "moe_intermediate_size", "vocab_size"}) {
    config[key] = 1 << 24;
  }
  EXPECT_PRED2(Contains, text(config.dump()), "more parameters");
}

// The largest Gemmas divide by d_model / n_heads, of which their GGUF files say nothing.
TEST_F(ArchitectureTest, KnowsTheAttentionScaleOfTheLargestGemmaFiles) {
  GgufBuilder builder;
  builder.Header(1, 10)
      .Value("general.architecture", "gemma3")
      .Value("gemma3.block_count", GgufType::kUint32, uint32_t{62})
      .Value("gemma3.embedding_length", GgufType::kUint32, uint32_t{5376})
      .Value("gemma3.attention.head_count", GgufType::kUint32, uint32_t{32})
      .Value("gemma3.attention.head_count_kv", GgufType::kUint32, uint32_t{16})
      .Value("gemma3.attention.key_length", GgufType::kUint32, uint32_t{128})
      .Value("gemma3.feed_forward_length", GgufType::kUint32, uint32_t{21504})
      .Value("gemma3.context_length", GgufType::kUint32, uint32_t{131072})
      .Value("gemma3.attention.sliding_window", GgufType::kUint32, uint32_t{1024})
      .Value("gemma3.attention.layer_norm_rms_epsilon", GgufType::kFloat32, 1e-6f)
      .Tensor("token_embd.weight", {4, 8}, 0, 0)
      .Data(4 * 8 * 4);
  const GgufFile file(std::as_bytes(std::span(builder.bytes)), "test.gguf");
  const Architecture a = ArchitectureFromGguf(file);
  EXPECT_DOUBLE_EQ(a.attention_scale, 1.0 / std::sqrt(168.0));
  EXPECT_FALSE(a.norm_weight_plus_one);
  EXPECT_EQ(a.vocab_size, 8);
}

}  // namespace
}  // namespace extrospect
