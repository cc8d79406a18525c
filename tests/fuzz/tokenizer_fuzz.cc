// Text in and out of tokenizers. The first byte says what the rest is:
//   0 - 5   text for a tokenizer that is known to be good
//   6       a tokenizer.json, then a zero byte, then text for it
//   7       a SentencePiece model, then the bytes "\0\0\0\0", then text for it
// Nothing but Error may come of it, and what is encoded has to keep the promises of tokenizer.h.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/tokenizer/bpe_tokenizer.h"
#include "model/tokenizer/byte_level.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

void Require(bool promise) {
  if (!promise) __builtin_trap();
}

// `whole`: every text can be told from its tokens.
void TryText(const Tokenizer& tokenizer, std::string_view text, bool whole) {
  for (const bool parse_special : {false, true}) {
    const Tokenizer::Encoding encoding = tokenizer.Encode(text, parse_special);
    Require(encoding.begin.size() == encoding.ids.size());
    Require(std::is_sorted(encoding.begin.begin(), encoding.begin.end()));
    Require(encoding.begin.empty() || encoding.begin.back() <= text.size());
    Require(tokenizer.Encode(text, parse_special).ids == encoding.ids);
    const std::string decoded = tokenizer.Decode(encoding.ids, /*skip_special=*/false);
    Require(IsValidUtf8(decoded));
    if (whole) Require(decoded == ReplaceInvalidUtf8(text));
    StreamingDecoder streaming(tokenizer);
    for (const int32_t id : encoding.ids) Require(IsValidUtf8(streaming.Push(id)));
    Require(IsValidUtf8(streaming.Finish()));
  }
}

std::unique_ptr<Tokenizer> ByteTokenizer(const char* pretokenizer) {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back(ByteLevelToken(std::string(1, static_cast<char>(byte))));
  }
  const auto merge = [&](const char* left, const char* right) {
    vocabulary.tokens.push_back(std::string(left) + right);
    vocabulary.merges.push_back(std::string(left) + " " + right);
  };
  merge("a", "a");
  merge("\u0120", "a");
  merge("aa", "a");
  merge("\u00c3", "\u00a9");
  vocabulary.types.assign(vocabulary.tokens.size(), TokenType::kNormal);
  for (const char* special : {"<s>", "<|end|>"}) {
    vocabulary.tokens.push_back(special);
    vocabulary.types.push_back(TokenType::kControl);
  }
  vocabulary.pretokenizer = pretokenizer;
  return MakeBpeTokenizer(vocabulary);
}

void TryKnown(size_t which, std::string_view text) {
  // qwen2 normalises, so that its texts come back changed.
  static const std::vector<std::pair<std::unique_ptr<Tokenizer>, bool>> tokenizers = [] {
    std::vector<std::pair<std::unique_ptr<Tokenizer>, bool>> all;
    for (const char* name : {"smollm", "llama-bpe", "tekken", "deepseek-llm", "gpt-4o"}) {
      all.emplace_back(ByteTokenizer(name), true);
    }
    all.emplace_back(ByteTokenizer("qwen2"), false);
    return all;
  }();
  const auto& [tokenizer, whole] = tokenizers[which % tokenizers.size()];
  TryText(*tokenizer, text, whole);
}

// Splits at the first `separator`; without one, the second part is empty.
std::pair<std::string, std::string> Halves(std::string_view bytes, std::string_view separator) {
  const size_t at = bytes.find(separator);
  if (at == std::string_view::npos) return {std::string(bytes), ""};
  return {std::string(bytes.substr(0, at)), std::string(bytes.substr(at + separator.size()))};
}

}  // namespace
}  // namespace extrospect

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace extrospect;
  if (size == 0) return -1;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (data[0] < 6) {
      TryKnown(data[0], bytes);
    } else if (data[0] == 6) {
      const auto [source, text] = Halves(bytes, std::string_view("\0", 1));
      TryText(*MakeBpeTokenizer(ParseTokenizerJson(source, "fuzz")), text, /*whole=*/false);
    } else if (data[0] == 7) {
      const auto [source, text] = Halves(bytes, std::string_view("\0\0\0\0", 4));
      TryText(*MakeSentencePieceTokenizer(ParseSentencePieceModel(source)), text, /*whole=*/false);
    } else {
      return -1;
    }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
