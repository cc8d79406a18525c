// Loading: tensors that do not fit, placement on devices, and memory.
#include "model/weights/weights.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "model/files/gguf.h"
#include "model/files/safetensors.h"
#include "model/forward/transformer.h"
#include "model/hooks.h"
#include "tests/unit/model/error_message.h"

namespace extrospect {
namespace {

const std::filesystem::path kFamilies = "tests/parity/fixtures/families";

std::filesystem::path TempFolder() {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) /
      (std::string("weights_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

Transformer Load(const std::filesystem::path& folder, const WeightOptions& options) {
  const Architecture architecture = ArchitectureFromDirectory(folder);
  const SafetensorsModel model(folder);
  return Transformer(
      architecture,
      LoadWeights(architecture, *OpenSafetensorsTensors(model, architecture), options));
}

// The tiny Qwen 3 with its tensors changed by `change`.
template <typename Change>
std::string MessageAfter(Change change) {
  const std::filesystem::path folder = TempFolder();
  std::filesystem::copy(kFamilies / "qwen3" / "config.json", folder);
  const SafetensorsFile file(kFamilies / "qwen3" / "model.safetensors");
  std::vector<TensorView> tensors;
  for (const auto& [name, entry] : file.entries()) tensors.push_back(file.Get(name));
  change(tensors);
  WriteSafetensors(folder / "model.safetensors", tensors);
  return MessageOf([&] { Load(folder, {}); });
}

TensorView& Find(std::vector<TensorView>& tensors, const std::string& name) {
  for (TensorView& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw Error("no tensor " + name);
}

constexpr char kNorm[] = "model.layers.2.self_attn.k_norm.weight";
constexpr char kDown[] = "model.layers.1.mlp.down_proj.weight";

TEST(WeightsTest, UnchangedTensorsLoad) {
  EXPECT_EQ(MessageAfter([](auto&) {}), "");
}

TEST(WeightsTest, MissingTensorIsNamed) {
  const std::string message = MessageAfter([](std::vector<TensorView>& tensors) {
    std::erase_if(tensors, [](const TensorView& tensor) { return tensor.name == kNorm; });
  });
  EXPECT_PRED2(Contains, message, kNorm);
  EXPECT_PRED2(Contains, message, "missing");
}

TEST(WeightsTest, MisshapenTensorIsNamedWithBothShapes) {
  const std::string message = MessageAfter([](std::vector<TensorView>& tensors) {
    std::swap(Find(tensors, kDown).shape[0], Find(tensors, kDown).shape[1]);
  });
  EXPECT_PRED2(Contains, message, kDown);
  EXPECT_PRED2(Contains, message, "[32, 40]");
  EXPECT_PRED2(Contains, message, "[40, 32]");
}

TEST(WeightsTest, ExtraTensorIsNamed) {
  const std::string message = MessageAfter([](std::vector<TensorView>& tensors) {
    TensorView extra = Find(tensors, kNorm);
    extra.name = "model.layers.0.self_attn.q_proj.bias";
    tensors.push_back(extra);
  });
  EXPECT_PRED2(Contains, message, "model.layers.0.self_attn.q_proj.bias");
  EXPECT_PRED2(Contains, message, "qwen3");
}

// What files hold beside the model, and may.
TEST(WeightsTest, KnownExtrasAreNoError) {
  EXPECT_EQ(MessageAfter([](std::vector<TensorView>& tensors) {
              for (const char* const name :
                   {"model.layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight",
                    "vision_tower.encoder.layers.0.norm.weight"}) {
                TensorView extra = Find(tensors, kNorm);
                extra.name = name;
                tensors.push_back(extra);
              }
            }),
            "");
}

TEST(WeightsTest, NonFiniteValueIsNamed) {
  std::vector<std::byte> bytes;
  const std::string message = MessageAfter([&](std::vector<TensorView>& tensors) {
    TensorView& tensor = Find(tensors, kDown);
    bytes.assign(tensor.bytes.begin(), tensor.bytes.end());
    bytes[200] = std::byte{0xc0};  // a bfloat16 NaN
    bytes[201] = std::byte{0x7f};
    tensor.bytes = bytes;
  });
  EXPECT_PRED2(Contains, message, kDown);
  EXPECT_PRED2(Contains, message, "finite");
}

TEST(WeightsTest, ExtraGgufTensorIsNamed) {
  const GgufFile file(kFamilies / "gemma3" / "model.gguf");
  Architecture architecture = ArchitectureFromGguf(file);
  --architecture.n_layers;
  architecture.blocks.pop_back();
  const std::string message =
      MessageOf([&] { LoadWeights(architecture, *OpenGgufTensors(file, architecture), {}); });
  EXPECT_PRED2(Contains, message, "model.layers.6.");
}

TEST(WeightsTest, BlocksArePlacedInOrderInEqualParts) {
  const at::Device a(at::kCPU), b(at::kMeta);
  EXPECT_EQ(PlaceBlocks(4, {a}), (std::vector<at::Device>{a, a, a, a}));
  EXPECT_EQ(PlaceBlocks(4, {a, b}), (std::vector<at::Device>{a, a, b, b}));
  EXPECT_EQ(PlaceBlocks(5, {a, b}), (std::vector<at::Device>{a, a, a, b, b}));
  EXPECT_EQ(PlaceBlocks(1, {a, b}), (std::vector<at::Device>{a}));
}

const std::vector<Sequence> kTexts = {{{1, 2, 3, 4, 5, 6, 7}, {}, {}}, {{8, 9, 10}, {}, {}}};
constexpr int64_t kRows = 10;

std::vector<at::Tensor> Residuals(const Transformer& model) {
  const c10::InferenceMode inference;
  std::vector<at::Tensor> sites;
  ForwardOptions options;
  options.sequences = kTexts;
  options.observe = [&](int64_t, const at::Tensor& residual) { sites.push_back(residual.clone()); };
  model.Forward(options);
  return sites;
}

// A device with an index counts as another one than the same without, so that one CPU can play two.
const std::vector<at::Device> kTwoDevices = {at::Device("cpu"), at::Device("cpu:0")};

TEST(WeightsTest, TwoDevicesGiveTheSameNumbers) {
  for (const char* const family : {"llama-3", "gemma3", "qwen3-moe", "olmo3"}) {
    const auto one = Residuals(Load(kFamilies / family, {}));
    const auto two = Residuals(Load(kFamilies / family, {.devices = kTwoDevices}));
    ASSERT_EQ(one.size(), two.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], two[i])) << family;
  }
}

thread_local int64_t crossings = 0;
thread_local int64_t residual_width = 0;

// Counts copies of the whole residual stream, which on one device never happen.
std::unique_ptr<at::ObserverContext> CountCopies(const at::RecordFunction& function) {
  if (std::string_view(function.name()) == "aten::_to_copy" &&
      function.inputs()[0].toTensor().sizes() == at::IntArrayRef({kRows, residual_width})) {
    ++crossings;
  }
  return nullptr;
}

int64_t CountCrossings(const Transformer& model) {
  crossings = 0;
  residual_width = model.architecture().d_model;
  const auto handle =
      at::addThreadLocalCallback(at::RecordFunctionCallback(CountCopies).needsInputs(true));
  Residuals(model);
  at::removeCallback(handle);
  return crossings;
}

TEST(WeightsTest, ActivationsCrossOncePerBoundary) {
  for (const char* const family : {"llama-3", "gemma3", "qwen3-moe", "olmo3"}) {
    EXPECT_EQ(CountCrossings(Load(kFamilies / family, {})), 0) << family;
    EXPECT_EQ(CountCrossings(Load(kFamilies / family, {.devices = kTwoDevices})), 1) << family;
  }
}

// The meta device keeps shapes only, but it is a device: what lies on it has been moved.
TEST(WeightsTest, WeightsLieWhereTheirBlocksAre) {
  const Transformer model =
      Load(kFamilies / "gemma3", {.devices = {at::Device("cpu"), at::Device("meta")}});
  const Weights& weights = model.weights();
  EXPECT_TRUE(weights.embedding.is_cpu());
  EXPECT_TRUE(weights.final_norm.is_meta());
  EXPECT_TRUE(weights.head.weight().is_meta());
  const std::vector<at::Device> places = PlaceBlocks(7, {at::Device("cpu"), at::Device("meta")});
  const auto segment = model.MakeSegment(3);
  for (size_t block = 0; block < places.size(); ++block) {
    const BlockWeights& b = weights.blocks[block];
    EXPECT_EQ(b.device, places[block]);
    for (const at::Tensor& tensor :
         {b.attention_norm, b.attention_post_norm, b.mlp_norm, b.mlp_post_norm, b.q_norm, b.k_norm,
          b.qkv.weight(), b.attention_out.weight(), b.gate_up.weight(), b.down.weight(),
          segment->keys[block], segment->values[block]}) {
      EXPECT_EQ(tensor.device(), places[block]) << "block " << block;
    }
  }
}

// A field of /proc/self/status, in bytes.
int64_t StatusBytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1)) * 1024;
  }
  return 0;
}

// A model of about 50 million parameters, whose tensors all hold the same bytes.
std::filesystem::path WriteLargeModel() {
  const std::filesystem::path folder = TempFolder();
  nlohmann::json config = nlohmann::json::parse(ReadFile(kFamilies / "qwen3" / "config.json"));
  config["hidden_size"] = 768;
  config["intermediate_size"] = 2304;
  config["head_dim"] = 64;
  config["num_attention_heads"] = 12;
  config["num_key_value_heads"] = 4;
  config["num_hidden_layers"] = 6;
  config["vocab_size"] = 8000;
  config["layer_types"] = nullptr;
  std::ofstream(folder / "config.json") << config.dump();
  std::vector<uint16_t> values(8000 * 768);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(0x3c00 + i % 128);
  const auto bytes = std::as_bytes(std::span(values));
  std::vector<TensorView> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    TensorView tensor{name, GgmlType::kBF16, std::move(shape), {}};
    tensor.bytes = bytes.first(static_cast<size_t>(tensor.elements()) * 2);
    tensors.push_back(tensor);
  };
  add("model.embed_tokens.weight", {8000, 768});
  add("model.norm.weight", {768});
  for (int block = 0; block < 6; ++block) {
    const std::string prefix = "model.layers." + std::to_string(block) + ".";
    add(prefix + "input_layernorm.weight", {768});
    add(prefix + "post_attention_layernorm.weight", {768});
    add(prefix + "self_attn.q_norm.weight", {64});
    add(prefix + "self_attn.k_norm.weight", {64});
    add(prefix + "self_attn.q_proj.weight", {768, 768});
    add(prefix + "self_attn.k_proj.weight", {256, 768});
    add(prefix + "self_attn.v_proj.weight", {256, 768});
    add(prefix + "self_attn.o_proj.weight", {768, 768});
    add(prefix + "mlp.gate_proj.weight", {2304, 768});
    add(prefix + "mlp.up_proj.weight", {2304, 768});
    add(prefix + "mlp.down_proj.weight", {768, 2304});
  }
  WriteSafetensors(folder / "model.safetensors", tensors);
  return folder;
}

// Peak memory while loading, over what was resident before, as a share of the weights.
double PeakShare(const std::filesystem::path& folder, at::ScalarType dtype) {
  Load(kFamilies / "qwen3", {.dtype = dtype});  // what the libraries allocate once
  malloc_trim(0);                               // what other tests gave back to the allocator
  std::ofstream("/proc/self/clear_refs") << "5";
  const int64_t before = StatusBytes("VmRSS");
  const Transformer model = Load(folder, {.dtype = dtype});
  const double weights = static_cast<double>(CountParameters(model.architecture())) *
                         static_cast<double>(c10::elementSize(dtype));
  return static_cast<double>(StatusBytes("VmHWM") - before) / weights;
}

class LoadMemoryTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(LoadMemoryTest, PeakIsLittleMoreThanTheWeights) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "freed memory is kept in quarantine";
#endif
  if (!std::ofstream("/proc/self/clear_refs").is_open()) GTEST_SKIP() << "no /proc";
  const double share = PeakShare(WriteLargeModel(), GetParam());
  RecordProperty("share", std::to_string(share));
  std::printf("peak while loading: %.3f of the weights\n", share);
  EXPECT_GE(share, 0.9);  // else nothing was measured
  EXPECT_LE(share, 1.15);
}

INSTANTIATE_TEST_SUITE_P(Types, LoadMemoryTest, testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace extrospect
