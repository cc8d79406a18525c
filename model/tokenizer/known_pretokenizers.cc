#include "model/tokenizer/known_pretokenizers.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

// Each from the tokenizer.json of the models that use it.
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepseekWords =
    R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf})"
    R"(\x{1c4}-\x{293}\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f})"
    R"(\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481})"
    R"(\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd})"
    R"(\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77})"
    R"(\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45})"
    R"(\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d})"
    R"(\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc})"
    R"(\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4})"
    R"(\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124})"
    R"(\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f})"
    R"(\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4})"
    R"(\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f})"
    R"(\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06})"
    R"(\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f})"
    R"(\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2})"
    R"(\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+)";
constexpr const char* kDeepseekPunctuation =
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)";
constexpr const char* kDeepseekIdeographs =
    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";
constexpr const char* kDeepseekV3Ideographs =
    R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)";
constexpr const char* kDeepseekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Stand for what is not a regular expression.
constexpr const char* kDigits = "<individual digits>";
constexpr const char* kGpt2 = "<GPT-2>";

enum Flags { kNone = 0, kNfc = 1, kIgnoreMerges = 2, kAddBos = 4 };

struct Family {
  std::vector<const char*> names;
  std::vector<const char*> splits;  // one after the other
  int flags;
};

std::vector<Family> Families() {
  return {
      {{"smollm", "smol", "starcoder", "refact", "codeshell"}, {kDigits, kGpt2}, kNone},
      {{"command-r"}, {kDigits, kGpt2}, kNfc},
      {{"gpt-2", "phi-2", "jais", "exaone4"}, {kGpt2}, kNone},
      {{"olmo", "mpt"}, {kGpt2}, kNfc},
      {{"llama-bpe", "llama3", "llama-v3"}, {kLlama3}, kIgnoreMerges | kAddBos},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {kLlama3}, kNone},
      {{"qwen2", "stablelm2"}, {kQwen2}, kNfc},
      {{"deepseek-r1-qwen"}, {kQwen2}, kNone},
      {{"tekken"}, {kTekken}, kIgnoreMerges | kAddBos},
      {{"gpt-4o", "llama4"}, {kGpt4o}, kNone},
      {{"deepseek-llm"},
       {"[\r\n]", kDeepseekWords, kDeepseekPunctuation, R"(\s+$)", kDeepseekIdeographs, kDigits},
       kNone},
      {{"deepseek-coder"},
       {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekIdeographs, kDigits},
       kNone},
      {{"deepseek-v3"}, {R"(\p{N}{1,3})", kDeepseekV3Ideographs, kDeepseekV3}, kNone},
  };
}

std::unique_ptr<PretokenizerStep> MakeStep(std::string_view split) {
  if (split == kDigits) return MakeDigits(true);
  const std::string_view pattern = split == kGpt2 ? kGpt2Pattern : split;
  return MakeSplit(Pattern::Regex(pattern), SplitBehavior::kIsolated, false);
}

}  // namespace

NamedPretokenizer MakeNamedPretokenizer(std::string_view name) {
  for (const Family& family : Families()) {
    if (std::find(family.names.begin(), family.names.end(), name) == family.names.end()) continue;
    NamedPretokenizer result;
    if (family.flags & kNfc) result.normalizer.Add(MakeUnicodeNormalizer(UnicodeForm::kNfc));
    for (const char* split : family.splits) result.pretokenizer.Add(MakeStep(split));
    result.ignore_merges = (family.flags & kIgnoreMerges) != 0;
    result.add_bos = (family.flags & kAddBos) != 0;
    return result;
  }
  std::string known;
  for (const std::string& one : KnownPretokenizers()) {
    if (!known.empty()) known += ", ";
    known += one;
  }
  throw Error("cannot tokenize for this model")
      .At("tokenizer.ggml.pre")
      .Expected("one of " + known)
      .Found(name.empty() ? "nothing" : Quote(name))
      .Hint("use the model's Hugging Face directory, whose tokenizer.json spells the rules out");
}

std::vector<std::string> KnownPretokenizers() {
  std::vector<std::string> names;
  for (const Family& family : Families()) {
    names.insert(names.end(), family.names.begin(), family.names.end());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace extrospect
