// From tokens back to text.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/tokenizer/pattern.h"

namespace extrospect {

// The most that one token may become on its own: the rules of a file could make gigabytes of it.
constexpr size_t kMaxTokenBytes = size_t{1} << 16;

// One step, which rewrites a list of token texts. Immutable.
class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  virtual void Apply(std::vector<std::string>* tokens) const = 0;
  // What the step makes of one token, regardless of its neighbours; the bytes need not be UTF-8.
  virtual std::string ApplyToOne(std::string token) const { return token; }
};

// Byte-level alphabet to bytes; joins all tokens.
std::unique_ptr<DecoderStep> MakeByteLevelDecoder();
// Replaces every match in each token. Throws Error where that makes too much of them.
std::unique_ptr<DecoderStep> MakeReplaceDecoder(Pattern pattern, std::string content);
// "<0xNN>" to the byte; a run of them that is not UTF-8 becomes as many U+FFFD.
std::unique_ptr<DecoderStep> MakeByteFallbackDecoder();
// Joins all tokens.
std::unique_ptr<DecoderStep> MakeFuseDecoder();
// Removes up to `start` and `stop` times `content` (one character) from the ends of each token.
std::unique_ptr<DecoderStep> MakeStripDecoder(std::string content, size_t start, size_t stop);
// `replacement` to a space; in the first token, if `strip_first`, to nothing.
std::unique_ptr<DecoderStep> MakeMetaspaceDecoder(std::string replacement, bool strip_first);

// The byte that a token of the form "<0xNN>" stands for.
std::optional<char> ByteOfFallbackToken(std::string_view token);

class TokenDecoder {
 public:
  void Add(std::unique_ptr<DecoderStep> step) { steps_.push_back(std::move(step)); }
  // The text of a sequence of tokens. Without any step tokens are joined by spaces.
  std::string Decode(std::vector<std::string> tokens) const;
  // The bytes of one token on its own.
  std::string DecodeOne(std::string token) const;

 private:
  std::vector<std::unique_ptr<DecoderStep>> steps_;
};

}  // namespace extrospect
