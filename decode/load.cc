#include "decode/load.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"
#include "decode/oracle/logit_lens.h"
#include "decode/oracle/oracle.h"
#include "decode/probe.h"
#include "decode/small.h"
#include "model/hooks.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Sizes beyond these are nothing that training makes; they bound what is allocated.
constexpr size_t kMaxClasses = 100'000;
constexpr size_t kMaxHooks = 4096;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLayers = 1 << 16;
constexpr size_t kMaxText = 1 << 16;
constexpr size_t kMaxDecoderJsonBytes = size_t{64} << 20;

// Reads one field after another, each with its own complaint.
class Fields {
 public:
  Fields(const json& object, std::string where, std::string prefix = "")
      : object_(object), where_(std::move(where)), prefix_(std::move(prefix)) {
    if (!object.is_object()) throw Wrong("", "an object");
  }

  const json& Get(const std::string& name, const char* expected,
                  const std::function<bool(const json&)>& good) const {
    const auto found = object_.find(name);
    if (found == object_.end()) {
      throw Error("a field of the decoder is missing").At(where_).Expected(prefix_ + name);
    }
    if (!good(*found)) throw Wrong(name, expected).Found(Short(*found));
    return *found;
  }
  std::string Text(const std::string& name, size_t max = kMaxText) const {
    return Get(name, "a text",
               [&](const json& value) {
                 return value.is_string() && value.get_ref<const std::string&>().size() <= max;
               })
        .get<std::string>();
  }
  int64_t Integer(const std::string& name, int64_t min, int64_t max) const {
    const std::string expected =
        "an integer from " + std::to_string(min) + " to " + std::to_string(max);
    return Get(name, expected.c_str(),
               [&](const json& value) {
                 // A number above 2^63 − 1 would wrap round.
                 if (!value.is_number_integer()) return false;
                 if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX)) {
                   return false;
                 }
                 return value.get<int64_t>() >= min && value.get<int64_t>() <= max;
               })
        .get<int64_t>();
  }
  double Number(const std::string& name, double min, double max) const {
    const std::string expected = "a number from " + json(min).dump() + " to " + json(max).dump();
    return Get(name, expected.c_str(),
               [&](const json& value) {
                 return value.is_number() && value.get<double>() >= min &&
                        value.get<double>() <= max;
               })
        .get<double>();
  }
  bool Flag(const std::string& name) const {
    return Get(name, "true or false", [](const json& value) { return value.is_boolean(); })
        .get<bool>();
  }
  const json& List(const std::string& name, size_t max) const {
    return Get(name, "a list that is not empty and not absurdly long", [&](const json& value) {
      return value.is_array() && !value.empty() && value.size() <= max;
    });
  }
  Fields Object(const std::string& name) const {
    return {Get(name, "an object", [](const json& value) { return value.is_object(); }), where_,
            prefix_ + name + "."};
  }
  Error Wrong(const std::string& name, const std::string& expected) const {
    return Error("a field of the decoder is wrong")
        .At(where_ + ", " + prefix_ + name)
        .Expected(expected);
  }

 private:
  static std::string Short(const json& value) {
    const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    return text.size() <= 80 ? text : text.substr(0, 77) + "...";
  }

  const json& object_;
  std::string where_, prefix_;
};

std::vector<std::string> ReadHooks(const Fields& fields) {
  std::vector<std::string> hooks;
  for (const json& item : fields.List("hooks", kMaxHooks)) {
    if (!item.is_string()) throw fields.Wrong("hooks", "a list of texts");
    hooks.push_back(item.get<std::string>());
    if (std::find(hooks.begin(), hooks.end() - 1, hooks.back()) != hooks.end() - 1) {
      throw fields.Wrong("hooks", "each hook once").Found(hooks.back());
    }
    try {
      ParseHookName(hooks.back());
    } catch (const Error&) {
      throw fields.Wrong("hooks", "names of hooks").Found(hooks.back());
    }
  }
  return hooks;
}

Lexicon ReadLexicon(const Fields& fields, const std::string& where) {
  std::vector<Emotion> emotions;
  std::set<std::string> words;
  const json& list = fields.List("lexicon", kMaxClasses);
  for (size_t i = 0; i < list.size(); ++i) {
    const Fields entry(list[i], where, "lexicon[" + std::to_string(i) + "].");
    Emotion emotion;
    emotion.word = entry.Text("word", 256);
    if (emotion.word.empty() || !words.insert(emotion.word).second) {
      throw entry.Wrong("word", "a word that is not empty and not in the lexicon twice")
          .Found(emotion.word);
    }
    emotion.family = entry.Text("family", 256);
    emotion.valence = entry.Number("valence", -1, 1);
    emotion.arousal = entry.Number("arousal", -1, 1);
    const json& near = entry.Get("near", "a list of texts", [](const json& value) {
      return value.is_array() && value.size() <= 256;
    });
    for (const json& word : near) {
      if (!word.is_string()) throw entry.Wrong("near", "a list of texts");
      emotion.near.push_back(word.get<std::string>());
    }
    emotions.push_back(std::move(emotion));
  }
  if (!words.contains(std::string(kNothing))) {
    throw fields.Wrong("lexicon", "a class \"" + std::string(kNothing) + "\"");
  }
  return Lexicon(std::move(emotions));
}

std::string ReadHash(const Fields& fields, const char* name) {
  const std::string text = fields.Text(name);
  if (text.size() != 64 || text.find_first_not_of("0123456789abcdef") != text.npos) {
    throw fields.Wrong(name, "64 hexadecimal digits").Found(text.substr(0, 80));
  }
  return text;
}

// Throws Error unless the file is the one that decoder.json names.
void CheckHash(const std::filesystem::path& path, const std::string& sha256) {
  const std::string found = Sha256HexOfFile(path);
  if (found != sha256) {
    throw Error("a file of the decoder is not the one that decoder.json names")
        .At(path.string())
        .Expected("sha256 " + sha256)
        .Found(found);
  }
}

TokenPool LoadTokenPool(const std::filesystem::path& path, const DecoderInfo& info) {
  const auto hooks = static_cast<int64_t>(info.hooks.size());
  return TokenPool(
      LoadTensor(SafetensorsFile(path), "query", {hooks, info.d_model}, at::Device(at::kCPU)));
}

}  // namespace

DecoderFile ParseDecoderJson(std::string_view text, const std::string& where) {
  const json object = ParseBoundedJson(text, where);
  const Fields fields(object, where);
  if (fields.Text("format") != "extrospect.decoder") {
    throw fields.Wrong("format", "extrospect.decoder").Found(fields.Text("format").substr(0, 80));
  }
  fields.Integer("format_version", kDecoderFormatVersion, kDecoderFormatVersion);

  DecoderFile file;
  DecoderInfo& info = file.info;
  info.kind = fields.Text("kind", 64);
  const Fields model = fields.Object("model");
  info.model_name = model.Text("name");
  info.model_sha256 = model.Text("sha256");
  info.architecture = model.Text("architecture");
  info.n_layers = model.Integer("n_layers", 1, kMaxLayers);
  info.d_model = model.Integer("d_model", 1, kMaxWidth);
  info.tokenizer_sha256 = fields.Text("tokenizer_sha256");
  info.chat_template_sha256 = fields.Text("chat_template_sha256");
  info.hooks = ReadHooks(fields);
  // Decoders without the field were trained on chats.
  if (object.contains("rendering")) info.rendering = fields.Text("rendering", 64);
  if (info.rendering != "chat" && info.rendering != "raw") {
    throw fields.Wrong("rendering", "chat or raw").Found(info.rendering);
  }
  info.selection = fields.Text("selection", 1024);
  info.pool = fields.Text("pool", 64);
  if (info.pool != "mean" && info.pool != "attention" && info.pool != "none") {
    throw fields.Wrong("pool", "mean, attention or none").Found(info.pool);
  }
  if (info.pool == "attention") file.pool_sha256 = ReadHash(fields, "pool_sha256");
  info.lexicon = ReadLexicon(fields, where);
  info.holder_independent = fields.Flag("holder_independent");
  info.temperature = fields.Number("temperature", 1e-3, 1e3);
  info.abstain_below = fields.Number("abstain_below", 0, 1);
  info.regression_share = fields.Number("regression_share", 0, 1);
  const Fields training = fields.Object("training");
  info.training_data_sha256 = training.Text("data_sha256");
  info.training_config =
      training.Get("config", "an object", [](const json& value) { return value.is_object(); })
          .dump(-1, ' ', false, json::error_handler_t::replace);
  file.weights_sha256 = ReadHash(fields, "weights_sha256");
  file.body = fields.Get(info.kind, "an object of the decoder's kind",
                         [](const json& value) { return value.is_object(); });
  return file;
}

std::unique_ptr<Decoder> LoadDecoder(const std::filesystem::path& folder, at::Device device,
                                     std::shared_ptr<const LanguageModel> model) {
  const std::filesystem::path path = folder / "decoder.json";
  if (!std::filesystem::is_directory(folder)) {
    throw Error("cannot read the decoder: no such folder").At(folder.string());
  }
  const std::string text = ReadFile(path, kMaxDecoderJsonBytes);
  DecoderFile file = ParseDecoderJson(text, path.string());
  file.info.sha256 = Sha256Hex(text);
  // "decoders/probe/" is called probe as well.
  const auto absolute = std::filesystem::absolute(folder).lexically_normal();
  file.info.name =
      (absolute.has_filename() ? absolute.filename() : absolute.parent_path().filename()).string();
  const std::filesystem::path weights = folder / "weights.safetensors";
  CheckHash(weights, file.weights_sha256);
  if (file.info.pool == "attention") {
    CheckHash(folder / kPoolFile, file.pool_sha256);
    file.info.token_pool = LoadTokenPool(folder / kPoolFile, file.info);
  }
  if (file.info.kind == "probe") return Probe::Load(file, weights, device);
  if (file.info.kind == "small") return Small::Load(file, folder, device);
  if (IsOracleKind(file.info.kind)) return Oracle::Load(file, folder, std::move(model));
  if (file.info.kind == kLogitLensKind) return LogitLens::Load(file, folder, std::move(model));
  throw Error("unknown kind of decoder")
      .At(path.string() + ", kind")
      .Expected("probe, small, oracle, vector, affine, selfie or logit-lens")
      .Found(file.info.kind);
}

void CheckModel(const DecoderInfo& info, const std::filesystem::path& folder,
                const LanguageModel* model) {
  if (model == nullptr || model->transformer == nullptr) {
    throw UsageError("this decoder asks the language model itself, which has to be given")
        .At(folder.string() + ", kind " + info.kind)
        .Expected("--model with " + info.model_name + ", sha256 " + info.model_sha256);
  }
  if (model->sha256 != info.model_sha256) {
    throw Error("the decoder was trained on another model")
        .At(folder.string())
        .Expected(info.model_name + ", sha256 " + info.model_sha256)
        .Found(model->name + ", sha256 " + model->sha256);
  }
  const Architecture& architecture = model->architecture;
  if (info.n_layers != architecture.n_layers || info.d_model != architecture.d_model ||
      info.architecture != architecture.family) {
    const auto shape = [](const std::string& family, int64_t n_layers, int64_t d_model) {
      return family + ", " + std::to_string(n_layers) + " blocks, width " + std::to_string(d_model);
    };
    throw Error("the decoder describes its model wrongly")
        .At(folder.string() + "/decoder.json, model")
        .Expected(shape(architecture.family, architecture.n_layers, architecture.d_model))
        .Found(shape(info.architecture, info.n_layers, info.d_model));
  }
}

void WriteDecoderJson(const std::filesystem::path& folder, const DecoderInfo& info,
                      const ordered_json& body) {
  ordered_json lexicon = ordered_json::array();
  for (const Emotion& emotion : info.lexicon.emotions()) {
    lexicon.push_back({{"word", emotion.word},
                       {"family", emotion.family},
                       {"valence", emotion.valence},
                       {"arousal", emotion.arousal},
                       {"near", emotion.near}});
  }
  ordered_json object = {
      {"format", "extrospect.decoder"},
      {"format_version", kDecoderFormatVersion},
      {"kind", info.kind},
      {"model",
       {{"name", info.model_name},
        {"sha256", info.model_sha256},
        {"architecture", info.architecture},
        {"n_layers", info.n_layers},
        {"d_model", info.d_model}}},
      {"tokenizer_sha256", info.tokenizer_sha256},
      {"chat_template_sha256", info.chat_template_sha256},
      {"hooks", info.hooks},
      {"rendering", info.rendering},
      {"selection", info.selection},
      {"pool", info.pool},
      {"holder_independent", info.holder_independent},
      {"temperature", info.temperature},
      {"abstain_below", info.abstain_below},
      {"regression_share", info.regression_share},
      {info.kind, body},
      {"training",
       {{"config", ordered_json::parse(info.training_config)},
        {"data_sha256", info.training_data_sha256}}},
      {"created_by", kProgramVersion},
      {"weights_sha256", Sha256HexOfFile(folder / "weights.safetensors")},
      {"lexicon", lexicon},
  };
  if (info.token_pool.attends()) object["pool_sha256"] = Sha256HexOfFile(folder / kPoolFile);
  WriteFileAtomically(folder / "decoder.json", object.dump(1) + "\n");
}

}  // namespace extrospect
