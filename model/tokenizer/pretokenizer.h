// How a tokenizer cuts text into the words within which its vocabulary is applied.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/tokenizer/aligned_text.h"
#include "model/tokenizer/pattern.h"

namespace extrospect {

// What becomes of a match when text is split at it. kContiguous joins adjacent matches.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// When a Metaspace step puts its sign in front of a word.
enum class PrependScheme { kAlways, kFirst, kNever };

// The expression that GPT-2 cuts text with.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Text and the pieces that it has been cut into so far: byte ranges, in order, none empty.
struct PretokenizedText {
  AlignedText text;
  std::vector<std::pair<uint32_t, uint32_t>> pieces;
  AlignedBuffer buffers[2];  // own `text` where a step has rewritten it
};

// One step. Immutable; may be used from any number of threads at once.
class PretokenizerStep {
 public:
  virtual ~PretokenizerStep() = default;
  virtual void Apply(PretokenizedText* text) const = 0;
  // The step and its settings, for hashes.
  virtual std::string Describe() const = 0;
};

// Splits each piece at the matches of `pattern`; `invert`: matches and gaps change places.
std::unique_ptr<PretokenizerStep> MakeSplit(Pattern pattern, SplitBehavior behavior, bool invert);
// Splits off numeric characters, one by one or in runs.
std::unique_ptr<PretokenizerStep> MakeDigits(bool individual);
// Replaces spaces by `replacement`, puts one in front of pieces that do not begin with it, and
// (`split`) begins a new piece at each.
std::unique_ptr<PretokenizerStep> MakeMetaspace(std::string replacement, PrependScheme scheme,
                                                bool split);
// Puts a space in front of every piece that does not begin with one.
std::unique_ptr<PretokenizerStep> MakePrefixSpace();

class Pretokenizer {
 public:
  void Add(std::unique_ptr<PretokenizerStep> step) { steps_.push_back(std::move(step)); }
  // Cuts `text` up. Reuses the memory of `result`.
  void Apply(const AlignedText& text, PretokenizedText* result) const;
  std::string Describe() const;

 private:
  std::vector<std::unique_ptr<PretokenizerStep>> steps_;
};

}  // namespace extrospect
