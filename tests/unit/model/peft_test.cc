// PEFT folders that are damaged, hostile, or of another kind.
#include "model/weights/peft.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "model/weights/weight_file.h"
#include "tests/unit/model/error_message.h"
#include "tests/unit/model/tiny_models.h"

namespace extrospect {
namespace {

using nlohmann::json;

class PeftTest : public testing::Test {
 protected:
  PeftTest()
      : architecture_(ArchitectureFromDirectory(tiny::kFamilies / "llama-3")),
        folder_(std::filesystem::path(testing::TempDir()) / "peft_folder") {
    std::filesystem::remove_all(folder_);
    adapter_ = tiny::RandomAdapter(architecture_, at::kFloat);
    SavePeft(folder_, adapter_, "base", 0.0);
    config_ = json::parse(ReadFile(folder_ / "adapter_config.json"));
    for (int64_t block = 0; block < architecture_.n_layers; ++block) {
      for (size_t i = 0; i < kTargets; ++i) {
        const auto target = static_cast<Target>(i);
        const LowRank& low_rank = adapter_.blocks[static_cast<size_t>(block)].of(target);
        tensors_[PeftTensorName(block, target, 'A')] = low_rank.a;
        tensors_[PeftTensorName(block, target, 'B')] = low_rank.b;
      }
    }
  }

  Adapter Load() const {
    return LoadPeft(folder_, architecture_, PlaceBlocks(architecture_.n_layers, {at::kCPU}));
  }
  std::string Complaint() const {
    return MessageOf([&] { Load(); });
  }
  std::string WithConfig(const std::string& text) const {
    std::ofstream(folder_ / "adapter_config.json") << text;
    return Complaint();
  }
  std::string With(const std::function<void(json&)>& change) const {
    json config = config_;
    change(config);
    return WithConfig(config.dump());
  }
  std::string WithTensors(
      const std::function<void(std::map<std::string, at::Tensor>&)>& change) const {
    std::map<std::string, at::Tensor> tensors = tensors_;
    change(tensors);
    SaveTensors(folder_ / "adapter_model.safetensors", tensors);
    return Complaint();
  }

  Architecture architecture_;
  std::filesystem::path folder_;
  Adapter adapter_;
  json config_;
  std::map<std::string, at::Tensor> tensors_;
};

TEST_F(PeftTest, LoadsWhatWasSaved) {
  const Adapter loaded = Load();
  EXPECT_EQ(loaded.rank, adapter_.rank);
  EXPECT_EQ(loaded.alpha, adapter_.alpha);
  for (size_t block = 0; block < adapter_.blocks.size(); ++block) {
    for (size_t i = 0; i < kTargets; ++i) {
      EXPECT_TRUE(
          at::equal(loaded.blocks[block].low_rank[i].a, adapter_.blocks[block].low_rank[i].a));
      EXPECT_TRUE(
          at::equal(loaded.blocks[block].low_rank[i].b, adapter_.blocks[block].low_rank[i].b));
    }
  }
}

TEST_F(PeftTest, MissingFilesAreNamed) {
  std::filesystem::remove(folder_ / "adapter_model.safetensors");
  EXPECT_PRED2(Contains, Complaint(), "adapter_model.safetensors");
  std::filesystem::remove(folder_ / "adapter_config.json");
  EXPECT_PRED2(Contains, Complaint(), "adapter_config.json");
}

TEST_F(PeftTest, OtherAdaptersAreRefused) {
  const std::map<std::string, json> others = {
      {"peft_type", "IA3"},
      {"use_dora", true},
      {"bias", "all"},
      {"fan_in_fan_out", true},
      {"modules_to_save", {"lm_head"}},
      {"rank_pattern", {{"q_proj", 2}}},
      {"alpha_pattern", {{"q_proj", 2}}},
      {"lora_bias", true},
      {"use_bdlora", true},
      {"alora_invocation_tokens", {1, 2}},
      {"layer_replication", {{0, 2}, {1, 3}}},
      {"use_qalora", true},
      {"init_lora_weights", "pissa"},
  };
  for (const auto& [key, value] : others) {
    EXPECT_PRED2(Contains, With([&](json& config) { config[key] = value; }), key);
  }
  // What does not change what is computed is welcome.
  EXPECT_EQ(With([](json& config) {
              config["inference_mode"] = false;
              config["init_lora_weights"] = "gaussian";
              config["something_of_a_later_version"] = nullptr;
              config["modules_to_save"] = json::array();
            }),
            "");
}

// peft would apply an adapter in fewer places than have tensors.
TEST_F(PeftTest, PlacesThatTheConfigurationLeavesOutAreNamed) {
  const std::map<std::string, std::vector<json>> fewer = {
      {"layers_to_transform", {0, {0, 1}, {99}, "x", 1.5}},
      {"target_modules", {{"q_proj"}, {"foo"}, 5, {1}, json::array()}},
      {"exclude_modules", {{"q_proj"}, "q_proj"}},
  };
  for (const auto& [key, values] : fewer) {
    for (const json& value : values) {
      EXPECT_PRED2(Contains, With([&](json& config) { config[key] = value; }), key) << value;
    }
  }
  for (const json& all : {json(), json("all-linear"), json(".*_proj")}) {
    EXPECT_EQ(With([&](json& config) { config["target_modules"] = all; }), "") << all;
  }
  EXPECT_EQ(With([&](json& config) {
              config.erase("layers_to_transform");
              config["exclude_modules"] = json::array();
            }),
            "");
}

TEST_F(PeftTest, WrongFieldsAreNamed) {
  for (const json& r :
       {json(), json(0), json(-3), json(1.5), json("8"), json(1e9), json::array({4})}) {
    EXPECT_PRED2(Contains, With([&](json& config) { config["r"] = r; }), ", r") << r.dump();
  }
  EXPECT_PRED2(Contains, With([](json& config) { config.erase("lora_alpha"); }), "lora_alpha");
  EXPECT_PRED2(Contains, With([](json& config) { config["use_rslora"] = "yes"; }), "use_rslora");
  EXPECT_NE(WithConfig("[]"), "");
  EXPECT_NE(WithConfig("{\"r\": "), "");
  EXPECT_NE(WithConfig(""), "");
  EXPECT_NE(WithConfig(std::string(100000, '[')), "");
  EXPECT_PRED2(Contains, WithConfig("{\"r\": 1" + std::string(2 << 20, ' ') + "}"),
               "adapter_config.json");
  EXPECT_PRED2(Contains, WithConfig("{\"peft_type\": \"\xff\xfe\"}"), "adapter_config.json");
}

TEST_F(PeftTest, RankStabilisedAdaptersScaleByTheRoot) {
  EXPECT_EQ(With([](json& config) { config["use_rslora"] = true; }), "");
  EXPECT_NEAR(Load().scale(), adapter_.alpha / std::sqrt(3.0), 1e-12);
}

TEST_F(PeftTest, TensorsThatDoNotFitAreNamed) {
  const std::string name = PeftTensorName(2, Target::kUp, 'B');
  EXPECT_PRED2(Contains, WithTensors([&](auto& tensors) { tensors.erase(name); }), name);
  EXPECT_PRED2(Contains, WithTensors([&](auto& tensors) {
                 tensors[name] = at::ones({3, 3});
               }),
               name);
  EXPECT_PRED2(Contains, WithTensors([&](auto& tensors) {
                 tensors[name] = tensors[name].clone();
                 tensors[name][0][0] = std::numeric_limits<float>::quiet_NaN();
               }),
               name);
  for (const char* const stranger :
       {"base_model.model.model.layers.4.mlp.up_proj.lora_A.weight",
        "base_model.model.lm_head.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"}) {
    EXPECT_PRED2(Contains, WithTensors([&](auto& tensors) {
                   tensors[stranger] = at::ones({3, 3});
                 }),
                 stranger);
  }
  EXPECT_PRED2(Contains, WithTensors([](auto& tensors) { tensors.clear(); }), "without tensors");
  // Another rank than the configuration's.
  EXPECT_EQ(WithTensors([](auto&) {}), "");
  EXPECT_PRED2(Contains, With([](json& config) { config["r"] = 4; }), "lora_A.weight");
}

TEST_F(PeftTest, CutAndForgedFilesAreErrors) {
  const auto path = folder_ / "adapter_model.safetensors";
  const std::string whole = ReadFile(path);
  for (size_t length = 0; length < whole.size(); length += whole.size() / 23 + 1) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, length);
    EXPECT_PRED2(Contains, Complaint(), "adapter_model.safetensors") << length;
  }
  std::string forged = whole;
  forged[6] = '\x7f';  // a header of 2^54 bytes
  std::ofstream(path, std::ios::binary) << forged;
  EXPECT_PRED2(Contains, Complaint(), "adapter_model.safetensors");
}

TEST_F(PeftTest, AnotherModelsAdapterIsRefused) {
  const Architecture other = ArchitectureFromDirectory(tiny::kFamilies / "mistral");
  EXPECT_PRED2(Contains, MessageOf([&] {
                 LoadPeft(folder_, other, PlaceBlocks(other.n_layers, {at::kCPU}));
               }),
               "wrong shape");
  const Architecture experts = ArchitectureFromDirectory(tiny::kFamilies / "qwen3-moe");
  EXPECT_PRED2(Contains, MessageOf([&] {
                 LoadPeft(folder_, experts, PlaceBlocks(experts.n_layers, {at::kCPU}));
               }),
               "experts");
}

}  // namespace
}  // namespace extrospect
