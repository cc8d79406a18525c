#include "model/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/bounded_json.h"
#include "model/files/quote.h"
#include "model/tokenizer/json_node.h"

namespace extrospect {
namespace {

// Whatever goes wrong while a node is turned into a step went wrong at that node.
template <typename Make>
auto At(const JsonNode& node, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    throw node.Wrong("something that can be used", error.what());
  }
}

[[noreturn]] void Unsupported(const JsonNode& node, const char* supported) {
  throw node.Get("type").Wrong(supported, Quote(node.Type()));
}

Pattern ReadPattern(const JsonNode& node) {
  return At(node, [&] {
    if (node.Has("String")) return Pattern::Literal(node.Get("String").String());
    if (node.Has("Regex")) return Pattern::Regex(node.Get("Regex").String());
    throw node.Wrong("\"String\" or \"Regex\"", "neither");
  });
}

std::string ReadCharacter(const JsonNode& node) {
  const std::string text = node.String();
  const auto is_first = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  if (std::count_if(text.begin(), text.end(), is_first) != 1) {
    throw node.Wrong("one character", Quote(text));
  }
  return text;
}

// ---- Normalizers ----

void ReadNormalizer(const JsonNode& node, Normalizer* normalizer) {
  const std::string type = node.Type();
  const std::map<std::string_view, UnicodeForm> forms = {{"NFC", UnicodeForm::kNfc},
                                                         {"NFD", UnicodeForm::kNfd},
                                                         {"NFKC", UnicodeForm::kNfkc},
                                                         {"NFKD", UnicodeForm::kNfkd}};
  if (const auto form = forms.find(type); form != forms.end()) {
    normalizer->Add(MakeUnicodeNormalizer(form->second));
  } else if (type == "Prepend") {
    normalizer->Add(MakePrepend(node.Get("prepend").String()));
  } else if (type == "Replace") {
    normalizer->Add(MakeReplace(ReadPattern(node.Get("pattern")), node.Get("content").String()));
  } else if (type == "Strip") {
    normalizer->Add(MakeStrip(node.Get("strip_left").Bool(), node.Get("strip_right").Bool()));
  } else if (type == "Sequence") {
    for (const JsonNode& one : node.Get("normalizers").Elements()) {
      ReadNormalizer(one, normalizer);
    }
  } else {
    Unsupported(node, "NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip or Sequence");
  }
}

// ---- Pre-tokenizers ----

SplitBehavior ReadBehavior(const JsonNode& node) {
  const std::map<std::string_view, SplitBehavior> behaviors = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  const auto found = behaviors.find(node.String());
  if (found == behaviors.end()) {
    throw node.Wrong("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous",
                     Quote(node.String()));
  }
  return found->second;
}

// Older files have "add_prefix_space", newer ones "prepend_scheme".
PrependScheme ReadScheme(const JsonNode& node) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (node.Has("prepend_scheme")) {
    const JsonNode member = node.Get("prepend_scheme");
    const std::string text = member.String();
    if (text == "first") scheme = PrependScheme::kFirst;
    if (text == "never") scheme = PrependScheme::kNever;
    if (text != "always" && text != "first" && text != "never") {
      throw member.Wrong("always, first or never", Quote(text));
    }
  }
  return node.BoolOr("add_prefix_space", true) ? scheme : PrependScheme::kNever;
}

// `bytes` becomes true when a step has turned the text into the byte-level alphabet, after which
// there can be no other.
void ReadPretokenizer(const JsonNode& node, Pretokenizer* pretokenizer, bool* bytes) {
  const std::string type = node.Type();
  if (type != "Sequence" && *bytes) throw node.Wrong("nothing after ByteLevel", Quote(type));
  if (type == "ByteLevel") {
    if (node.BoolOr("add_prefix_space", true)) pretokenizer->Add(MakePrefixSpace());
    if (node.BoolOr("use_regex", true)) {
      pretokenizer->Add(
          MakeSplit(Pattern::Regex(kGpt2Pattern), SplitBehavior::kIsolated, /*invert=*/false));
    }
    *bytes = true;
  } else if (type == "Split") {
    pretokenizer->Add(MakeSplit(ReadPattern(node.Get("pattern")),
                                ReadBehavior(node.Get("behavior")), node.BoolOr("invert", false)));
  } else if (type == "Digits") {
    pretokenizer->Add(MakeDigits(node.BoolOr("individual_digits", false)));
  } else if (type == "Metaspace") {
    pretokenizer->Add(MakeMetaspace(ReadCharacter(node.Get("replacement")), ReadScheme(node),
                                    node.BoolOr("split", true)));
  } else if (type == "Sequence") {
    for (const JsonNode& one : node.Get("pretokenizers").Elements()) {
      ReadPretokenizer(one, pretokenizer, bytes);
    }
  } else {
    Unsupported(node, "ByteLevel, Split, Digits, Metaspace or Sequence");
  }
}

// ---- Decoders ----

void ReadDecoder(const JsonNode& node, BpePipeline* pipeline) {
  TokenDecoder& decoder = pipeline->decoder;
  const std::string type = node.Type();
  if (type == "ByteLevel") {
    decoder.Add(MakeByteLevelDecoder());
  } else if (type == "Replace") {
    decoder.Add(MakeReplaceDecoder(ReadPattern(node.Get("pattern")), node.Get("content").String()));
  } else if (type == "ByteFallback") {
    decoder.Add(MakeByteFallbackDecoder());
  } else if (type == "Fuse") {
    decoder.Add(MakeFuseDecoder());
  } else if (type == "Strip") {
    const std::string content = ReadCharacter(node.Get("content"));
    const size_t start = static_cast<size_t>(node.Get("start").Id());
    decoder.Add(MakeStripDecoder(content, start, static_cast<size_t>(node.Get("stop").Id())));
    pipeline->strips_leading_space |= content == " " && start > 0;
  } else if (type == "Metaspace") {
    const bool strip = ReadScheme(node) != PrependScheme::kNever;
    decoder.Add(MakeMetaspaceDecoder(ReadCharacter(node.Get("replacement")), strip));
    pipeline->strips_leading_space |= strip;
  } else if (type == "Sequence") {
    for (const JsonNode& one : node.Get("decoders").Elements()) {
      ReadDecoder(one, pipeline);
    }
  } else {
    Unsupported(node, "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace or Sequence");
  }
}

// ---- The model ----

void CheckUnset(const JsonNode& model, const char* key) {
  if (!model.Has(key)) return;
  const nlohmann::json& value = model.Get(key).value();
  if (value == "" || value == 0.0) return;
  throw model.Get(key).Wrong("null", value.dump(-1, ' ', true));
}

BpeRules ReadModel(const JsonNode& model) {
  if (model.Has("type") && model.Type() != "BPE") Unsupported(model, "BPE");
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    CheckUnset(model, key);
  }
  BpeRules rules;
  rules.byte_fallback = model.BoolOr("byte_fallback", false);
  rules.fuse_unknown = model.BoolOr("fuse_unk", false);
  rules.ignore_merges = model.BoolOr("ignore_merges", false);
  if (model.Has("unk_token")) rules.unknown = model.Get("unk_token").String();

  std::set<int32_t> ids;
  for (const auto& [token, id] : model.Get("vocab").Members()) {
    rules.vocabulary.emplace_back(token, id.Id());
    if (!ids.insert(id.Id()).second) throw id.Wrong("an id of its own", id.value().dump());
  }
  for (const JsonNode& merge : model.Get("merges").Elements()) {
    if (merge.value().is_array()) {
      const std::vector<JsonNode> parts = merge.Elements();
      if (parts.size() != 2) throw merge.Wrong("two tokens", std::to_string(parts.size()));
      rules.merges.emplace_back(parts[0].String(), parts[1].String());
      continue;
    }
    const std::string text = merge.String();
    if (text.starts_with("#version")) continue;
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
      throw merge.Wrong("two tokens with a space between them", Quote(text));
    }
    rules.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return rules;
}

// Numbers the tokens as the reference does, which does not go by the "id" of those that the
// vocabulary lacks; it had better be the same.
std::vector<AddedToken> ReadAddedTokens(const JsonNode& list, const BpeRules& rules) {
  std::unordered_map<std::string, int32_t> ids(rules.vocabulary.begin(), rules.vocabulary.end());
  int32_t next = static_cast<int32_t>(rules.vocabulary.size());
  std::vector<AddedToken> tokens;
  for (const JsonNode& node : list.Elements()) {
    AddedToken token;
    token.content = node.Get("content").String();
    token.id = node.Get("id").Id();
    token.special = node.BoolOr("special", false);
    token.normalized = node.BoolOr("normalized", !token.special);
    token.single_word = node.BoolOr("single_word", false);
    token.lstrip = node.BoolOr("lstrip", false);
    token.rstrip = node.BoolOr("rstrip", false);
    if (token.content.empty()) continue;
    const auto [known, is_new] = ids.emplace(token.content, next);
    if (is_new) ++next;
    if (known->second != token.id) {
      throw node.Get("id").Wrong(std::to_string(known->second), std::to_string(token.id));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// ---- The post-processor ----

// The id of the token that a template puts in front of a single text, if any.
std::optional<int32_t> ReadBos(const JsonNode& node) {
  const std::string type = node.Type();
  if (type == "Sequence") {
    for (const JsonNode& one : node.Get("processors").Elements()) {
      if (const auto id = ReadBos(one)) return id;
    }
  }
  if (type != "TemplateProcessing") return std::nullopt;
  const std::vector<JsonNode> parts = node.Get("single").Elements();
  if (parts.empty() || !parts[0].Has("SpecialToken")) return std::nullopt;
  const std::string token = parts[0].Get("SpecialToken").Get("id").String();
  const auto ids = node.Get("special_tokens").Get(token).Get("ids").Elements();
  if (ids.size() != 1)
    throw node.Get("special_tokens").Wrong("one id for " + token, "another number");
  return ids[0].Id();
}

}  // namespace

BpePipeline ParseTokenizerJson(std::string_view text, const std::string& name) {
  // Which bounds how deep steps lie inside each other, too.
  const auto document = ParseBoundedJson(text, name);
  const JsonNode root(&document, "", &name);
  root.Object();

  BpePipeline pipeline;
  pipeline.rules = ReadModel(root.Get("model"));
  if (root.Has("normalizer")) ReadNormalizer(root.Get("normalizer"), &pipeline.normalizer);
  if (root.Has("pre_tokenizer")) {
    ReadPretokenizer(root.Get("pre_tokenizer"), &pipeline.pretokenizer, &pipeline.rules.byte_level);
  }
  if (root.Has("decoder")) ReadDecoder(root.Get("decoder"), &pipeline);
  if (root.Has("added_tokens")) {
    pipeline.added_tokens = ReadAddedTokens(root.Get("added_tokens"), pipeline.rules);
  }
  if (root.Has("post_processor")) {
    pipeline.bos_id = ReadBos(root.Get("post_processor"));
    pipeline.add_bos = pipeline.bos_id.has_value();
  }
  return pipeline;
}

}  // namespace extrospect
