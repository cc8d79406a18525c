#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "decode/decoder.h"
#include "decode/load.h"
#include "decode/probe.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

using nlohmann::json;

constexpr int64_t kWidth = 4;

DecoderInfo Info() {
  DecoderInfo info;
  info.kind = "probe";
  info.model_name = "toy";
  info.model_sha256 = std::string(64, 'a');
  info.architecture = "llama";
  info.tokenizer_sha256 = std::string(64, 'b');
  info.n_layers = 2;
  info.d_model = kWidth;
  info.hooks = {"blocks.1.hook_resid_post"};
  info.selection = "content";
  info.pool = "mean";
  info.lexicon =
      Lexicon({{"angry", "anger", -0.6, 0.6, {"sad"}}, {"sad", "sadness", -0.6, -0.4, {}}});
  info.training_config = "{}";
  return info;
}

// A whole folder of a probe.
std::filesystem::path MakeFolder(const std::string& name) {
  const auto folder = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  const ProbeWeights weights = {at::zeros({kWidth}, options),    at::ones({kWidth}, options),
                                at::ones({3, kWidth}, options),  at::zeros({3}, options),
                                at::zeros({2, kWidth}, options), at::zeros({2}, options)};
  SaveTensors(folder / "weights.safetensors", weights.Named());
  WriteDecoderJson(folder, Info(), {{"solver", "lda"}});
  return folder;
}

json Parsed(const std::filesystem::path& folder) {
  return json::parse(std::ifstream(folder / "decoder.json"));
}

std::string Complaint(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(DecoderJsonTest, ReadsBackWhatWasWritten) {
  const auto decoder = LoadDecoder(MakeFolder("decoder_ok"), at::kCPU);
  EXPECT_EQ(decoder->info().kind, "probe");
  EXPECT_EQ(decoder->info().name, "decoder_ok");
  EXPECT_EQ(decoder->info().lexicon.size(), 3);
  EXPECT_EQ(decoder->info().lexicon[0].near, std::vector<std::string>{"sad"});
  EXPECT_EQ(decoder->info().sha256.size(), 64u);
}

TEST(DecoderJsonTest, AnAttentionPoolIsKeptAndHeldToItsHash) {
  const auto folder = MakeFolder("decoder_attention");
  DecoderInfo info = Info();
  info.pool = "attention";
  info.token_pool = TokenPool(at::full({1, kWidth}, 0.5f, at::TensorOptions(at::kFloat)));
  SaveTensors(folder / kPoolFile, {{"query", info.token_pool.query()}});
  WriteDecoderJson(folder, info, {{"solver", "lda"}});
  const auto decoder = LoadDecoder(folder, at::kCPU);
  ASSERT_TRUE(decoder->info().token_pool.attends());
  EXPECT_TRUE(at::equal(decoder->info().token_pool.query(), info.token_pool.query()));

  // Another file, one of another width, and none.
  SaveTensors(folder / kPoolFile, {{"query", at::zeros({1, kWidth}, at::kFloat)}});
  EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find(kPoolFile), std::string::npos);
  SaveTensors(folder / kPoolFile, {{"query", at::zeros({1, kWidth + 1}, at::kFloat)}});
  WriteDecoderJson(folder, info, {{"solver", "lda"}});
  EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find("query"), std::string::npos);
  std::filesystem::remove(folder / kPoolFile);
  EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find(kPoolFile), std::string::npos);

  json without = Parsed(MakeFolder("decoder_attention_without"));
  without["pool"] = "attention";
  EXPECT_NE(Complaint([&] { ParseDecoderJson(without.dump(), "here"); }).find("pool_sha256"),
            std::string::npos);
}

// Each change makes the file wrong in one place, which the message must name.
TEST(DecoderJsonTest, HostileVariantsAreRefusedByName) {
  const json good = Parsed(MakeFolder("decoder_hostile"));
  const std::vector<std::pair<std::string, std::function<void(json&)>>> changes = {
      {"format", [](json& j) { j["format"] = "extrospect.activations"; }},
      {"format_version", [](json& j) { j["format_version"] = 2; }},
      {"format_version", [](json& j) { j["format_version"] = 18446744073709551615u; }},
      {"kind", [](json& j) { j.erase("kind"); }},
      {"kind", [](json& j) { j["kind"] = 3; }},
      {"vector", [](json& j) { j["kind"] = "vector"; }},
      {"decoder.json, model", [](json& j) { j["model"] = "toy"; }},
      {"model.d_model", [](json& j) { j["model"]["d_model"] = 0; }},
      {"model.d_model", [](json& j) { j["model"]["d_model"] = 1e18; }},
      {"model.d_model", [](json& j) { j["model"]["d_model"] = -4; }},
      {"model.n_layers", [](json& j) { j["model"]["n_layers"] = "2"; }},
      {"hooks", [](json& j) { j["hooks"] = json::array(); }},
      {"hooks", [](json& j) { j["hooks"] = {"../../etc/passwd"}; }},
      {"hooks", [](json& j) { j["hooks"] = {1}; }},
      {"pool", [](json& j) { j["pool"] = "max"; }},
      {"temperature", [](json& j) { j["temperature"] = 0; }},
      {"temperature", [](json& j) { j["temperature"] = nullptr; }},
      {"abstain_below", [](json& j) { j["abstain_below"] = 1.5; }},
      {"lexicon", [](json& j) { j["lexicon"] = json::object(); }},
      {"lexicon[1].word", [](json& j) { j["lexicon"][1]["word"] = "angry"; }},
      {"lexicon[0].word", [](json& j) { j["lexicon"][0]["word"] = ""; }},
      {"lexicon[0].valence", [](json& j) { j["lexicon"][0]["valence"] = 7; }},
      {"lexicon[0].near", [](json& j) { j["lexicon"][0]["near"] = {1}; }},
      {"nothing to report", [](json& j) { j["lexicon"].erase(2); }},
      {"weights_sha256", [](json& j) { j["weights_sha256"] = "zz"; }},
      {"training.config", [](json& j) { j["training"]["config"] = "x"; }},
      {"probe", [](json& j) { j.erase("probe"); }},
  };
  for (const auto& [field, change] : changes) {
    json bad = good;
    change(bad);
    const std::string complaint =
        Complaint([&] { ParseDecoderJson(bad.dump(), "folder/decoder.json"); });
    EXPECT_NE(complaint.find(field), std::string::npos) << field << ": " << complaint;
    EXPECT_NE(complaint.find("decoder.json"), std::string::npos) << complaint;
  }
  EXPECT_NE(Complaint([] { ParseDecoderJson("{", "f"); }).find("cannot read JSON"),
            std::string::npos);
  EXPECT_NE(Complaint([] { ParseDecoderJson("[]", "f"); }).find("an object"), std::string::npos);
  EXPECT_NE(Complaint([] { ParseDecoderJson(std::string(100000, '['), "f"); }).find("64 levels"),
            std::string::npos);
}

TEST(DecoderJsonTest, WeightsMustBeTheOnesThatAreNamedAndFit) {
  const auto folder = MakeFolder("decoder_weights");
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  // Another file than the one that decoder.json names.
  SaveTensors(folder / "weights.safetensors", {{"mean", at::zeros({kWidth}, options)}});
  EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find("weights.safetensors"),
            std::string::npos);
  // Named, but a tensor is missing.
  WriteDecoderJson(folder, Info(), {{"solver", "lda"}});
  EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find("scale"), std::string::npos);
  // A tensor of a wrong shape, and one that is not finite.
  ProbeWeights weights = {at::zeros({kWidth}, options),    at::ones({kWidth}, options),
                          at::ones({4, kWidth}, options),  at::zeros({3}, options),
                          at::zeros({2, kWidth}, options), at::zeros({2}, options)};
  SaveTensors(folder / "weights.safetensors", weights.Named());
  WriteDecoderJson(folder, Info(), {{"solver", "lda"}});
  const std::string complaint = Complaint([&] { LoadDecoder(folder, at::kCPU); });
  EXPECT_NE(complaint.find("weight"), std::string::npos);
  EXPECT_NE(complaint.find("[3, 4]"), std::string::npos) << complaint;
  weights.weight = at::full({3, kWidth}, std::numeric_limits<float>::quiet_NaN(), options);
  SaveTensors(folder / "weights.safetensors", weights.Named());
  WriteDecoderJson(folder, Info(), {{"solver", "lda"}});
  EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find("finite"), std::string::npos);
  std::filesystem::remove(folder / "weights.safetensors");
  EXPECT_THROW(LoadDecoder(folder, at::kCPU), Error);
  EXPECT_THROW(LoadDecoder(folder / "nowhere", at::kCPU), Error);
}

TEST(DecoderJsonTest, AHiddenLayerIsCheckedToo) {
  const auto folder = MakeFolder("decoder_hidden");
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  ProbeWeights weights = {at::zeros({kWidth}, options),    at::ones({kWidth}, options),
                          at::ones({3, kWidth}, options),  at::zeros({3}, options),
                          at::zeros({2, kWidth}, options), at::zeros({2}, options)};
  weights.hidden_weight = at::full({1, kWidth}, -1.0, options);
  weights.hidden_bias = at::full({1}, 0.5, options);
  weights.hidden_out = at::tensor({0.0f, 2.0f, 0.0f}, options).reshape({3, 1});
  SaveTensors(folder / "weights.safetensors", weights.Named());
  WriteDecoderJson(folder, Info(), {{"hidden", 1}});
  // Of a row of zeros the unit is 0.5, of a row of ones 0.
  const at::Tensor zeros = at::zeros({1, kWidth}, options);
  EXPECT_TRUE(
      at::equal(weights.Logits(zeros), at::tensor({0.0f, 1.0f, 0.0f}, options).unsqueeze(0)));
  EXPECT_TRUE(at::equal(weights.Logits(zeros + 1), at::full({1, 3}, 1.0 * kWidth, options)));
  const at::Tensor read = LoadDecoder(folder, at::kCPU)->Read(zeros.unsqueeze(0)).log_p;
  EXPECT_TRUE(at::allclose(read, at::log_softmax(weights.Logits(zeros), 1)));

  weights.hidden_out = at::zeros({2, 1}, options);
  SaveTensors(folder / "weights.safetensors", weights.Named());
  WriteDecoderJson(folder, Info(), {{"hidden", 1}});
  EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find("hidden.out"),
            std::string::npos);
  for (const json& bad : {json(-1), json("2"), json(1e9), json(70000), json(nullptr)}) {
    WriteDecoderJson(folder, Info(), {{"hidden", bad}});
    EXPECT_NE(Complaint([&] { LoadDecoder(folder, at::kCPU); }).find("probe.hidden"),
              std::string::npos)
        << bad;
  }
}

TEST(DecoderTest, RowsAreChecked) {
  const auto decoder = LoadDecoder(MakeFolder("decoder_rows"), at::kCPU);
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  EXPECT_EQ(decoder->Read(at::zeros({2, 1, kWidth}, options)).log_p.size(0), 2);
  EXPECT_EQ(decoder->Read(at::zeros({0, 1, kWidth}, options)).log_p.size(0), 0);
  EXPECT_THROW(decoder->Read(at::zeros({2, kWidth}, options)), Error);
  EXPECT_THROW(decoder->Read(at::zeros({2, 2, kWidth}, options)), Error);
  EXPECT_THROW(decoder->Read(at::zeros({2, 1, kWidth + 1}, options)), Error);
  EXPECT_THROW(decoder->Read(at::zeros({2, 1, kWidth}, options), {"user"}), Error);
  EXPECT_THROW(
      decoder->Read(at::full({1, 1, kWidth}, std::numeric_limits<float>::infinity(), options)),
      Error);
}

TEST(DecoderTest, AnotherModelIsRefusedWithBothNamed) {
  const DecoderInfo info = Info();
  ActivationOrigin origin;
  origin.model_name = "toy";
  origin.model_sha256 = info.model_sha256;
  origin.tokenizer_sha256 = info.tokenizer_sha256;
  origin.d_model = kWidth;
  CheckFits(info, origin, info.hooks, "a.h5");
  const auto complaint = [&] {
    return Complaint([&] { CheckFits(info, origin, info.hooks, "a.h5"); });
  };
  origin.d_model = 5;
  EXPECT_NE(complaint().find("5"), std::string::npos);
  origin.d_model = kWidth;
  origin.model_sha256 = std::string(64, 'f');
  EXPECT_NE(complaint().find(std::string(64, 'f')), std::string::npos);
  EXPECT_NE(complaint().find(std::string(64, 'a')), std::string::npos);
  origin.model_sha256 = info.model_sha256;
  origin.tokenizer_sha256 = "other";
  EXPECT_NE(complaint().find("other"), std::string::npos);
  origin.tokenizer_sha256 = info.tokenizer_sha256;
  const std::string hooks =
      Complaint([&] { CheckFits(info, origin, {"blocks.0.hook_resid_post"}, "a.h5"); });
  EXPECT_NE(hooks.find("blocks.0"), std::string::npos);
  EXPECT_NE(hooks.find("blocks.1"), std::string::npos);
}

TEST(DecoderTest, ActivationsOfAnotherRenderingAreRefused) {
  DecoderInfo info = Info();
  ActivationOrigin origin;
  origin.config = R"({"format": "raw"})";
  const std::string complaint = Complaint([&] { CheckRendering(info, origin, "a.h5"); });
  EXPECT_NE(complaint.find("raw"), std::string::npos) << complaint;
  info.rendering = "raw";
  CheckRendering(info, origin, "a.h5");
}

TEST(DecoderJsonTest, RenderingIsKept) {
  const auto folder = MakeFolder("decoder_rendering");
  json object = Parsed(folder);
  EXPECT_EQ(ParseDecoderJson(object.dump(), "d").info.rendering, "chat");
  object["rendering"] = "raw";
  EXPECT_EQ(ParseDecoderJson(object.dump(), "d").info.rendering, "raw");
  object["rendering"] = "sideways";
  EXPECT_NE(Complaint([&] { ParseDecoderJson(object.dump(), "d"); }).find("sideways"),
            std::string::npos);
  object.erase("rendering");  // as decoders were written before
  EXPECT_EQ(ParseDecoderJson(object.dump(), "d").info.rendering, "chat");
}

}  // namespace
}  // namespace extrospect
