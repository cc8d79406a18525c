// What a tokenizer does to text before it cuts it up: Unicode normalisation, replacements.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/tokenizer/aligned_text.h"
#include "model/tokenizer/pattern.h"

namespace extrospect {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

// One step. Immutable; may be used from any number of threads at once.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  // Changes `*text`. If that takes new bytes they are put in `out` (which `*text` must not point
  // into when the call begins), and the result is true.
  virtual bool Apply(AlignedText* text, AlignedBuffer* out) const = 0;
  // The step and its settings, for hashes.
  virtual std::string Describe() const = 0;
};

// Canonical or compatibility normalisation. Characters that change together (a letter and its
// marks) all come from the first of them.
std::unique_ptr<NormalizerStep> MakeUnicodeNormalizer(UnicodeForm form);
// Puts text in front of any text that is not empty.
std::unique_ptr<NormalizerStep> MakePrepend(std::string prefix);
// Puts `content`, literally, in place of every match.
std::unique_ptr<NormalizerStep> MakeReplace(Pattern pattern, std::string content);
// Removes white space from the ends.
std::unique_ptr<NormalizerStep> MakeStrip(bool left, bool right);

class Normalizer {
 public:
  // Own what the steps produce.
  struct Buffers {
    AlignedBuffer a, b;
  };

  void Add(std::unique_ptr<NormalizerStep> step) { steps_.push_back(std::move(step)); }
  AlignedText Apply(AlignedText text, Buffers* buffers) const;
  bool empty() const { return steps_.empty(); }
  std::string Describe() const;

 private:
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

}  // namespace extrospect
