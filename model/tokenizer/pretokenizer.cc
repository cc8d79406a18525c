#include "model/tokenizer/pretokenizer.h"

#include <array>
#include <string>
#include <utility>

#include "model/tokenizer/pattern_dialect.h"

namespace extrospect {
namespace {

using Pieces = std::vector<std::pair<uint32_t, uint32_t>>;

void AddPiece(size_t begin, size_t end, Pieces* pieces) {
  if (begin != end) pieces->emplace_back(static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
}

class Split : public PretokenizerStep {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert, std::string name)
      : pattern_(std::move(pattern)),
        behavior_(behavior),
        invert_(invert),
        name_(std::move(name)) {}

  void Apply(PretokenizedText* text) const override {
    Pieces pieces;
    pieces.reserve(text->pieces.size() == 1 ? text->text.text.size() / 4 : text->pieces.size());
    std::vector<PatternPart> parts;
    for (const auto& [begin, end] : text->pieces) {
      pattern_.Cut(text->text.text.substr(begin, end - begin), &parts);
      if (invert_) {
        for (PatternPart& part : parts) part.is_match = !part.is_match;
      }
      Join(&parts);
      for (const PatternPart& part : parts) {
        if (behavior_ == SplitBehavior::kRemoved && part.is_match) continue;
        AddPiece(begin + part.begin, begin + part.end, &pieces);
      }
    }
    text->pieces = std::move(pieces);
  }

  std::string Describe() const override { return name_; }

 private:
  // Unites parts as the behaviour asks. A match goes with its neighbour only if the part that was
  // seen before it (the next one, when going backwards) is not a match.
  void Join(std::vector<PatternPart>* parts) const {
    const bool backwards = behavior_ == SplitBehavior::kMergedWithNext;
    if (behavior_ == SplitBehavior::kRemoved || behavior_ == SplitBehavior::kIsolated) return;
    std::vector<PatternPart> joined;
    bool previous_match = false;
    for (size_t i = 0; i < parts->size(); ++i) {
      const PatternPart& part = (*parts)[backwards ? parts->size() - 1 - i : i];
      const bool join = behavior_ == SplitBehavior::kContiguous ? part.is_match == previous_match
                                                                : part.is_match && !previous_match;
      previous_match = part.is_match;
      if (!join || joined.empty()) {
        joined.push_back(part);
      } else if (backwards) {
        joined.back().begin = part.begin;
      } else {
        joined.back().end = part.end;
      }
    }
    if (backwards) joined = {joined.rbegin(), joined.rend()};
    *parts = std::move(joined);
  }

  const Pattern pattern_;
  const SplitBehavior behavior_;
  const bool invert_;
  const std::string name_;
};

// The buffer that the text does not live in.
AlignedBuffer* FreeBuffer(PretokenizedText* text) {
  const bool in_first =
      text->text.origins != nullptr && text->text.origins == text->buffers[0].origins.data();
  AlignedBuffer* const buffer = &text->buffers[in_first ? 1 : 0];
  buffer->Clear();
  return buffer;
}

class Metaspace : public PretokenizerStep {
 public:
  Metaspace(std::string replacement, PrependScheme scheme)
      : replacement_(std::move(replacement)), scheme_(scheme) {}

  void Apply(PretokenizedText* text) const override {
    AlignedBuffer* const out = FreeBuffer(text);
    const AlignedText in = text->text;
    for (auto& [begin, end] : text->pieces) {
      const size_t new_begin = out->text.size();
      const std::string_view piece = in.text.substr(begin, end - begin);
      const bool wanted = scheme_ == PrependScheme::kAlways ||
                          (scheme_ == PrependScheme::kFirst && in.Origin(begin) == 0);
      if (wanted && !piece.starts_with(' ') && !piece.starts_with(replacement_)) {
        out->Insert(replacement_, in.Origin(begin));
      }
      size_t done = begin;
      for (size_t at; (at = in.text.substr(0, end).find(' ', done)) != std::string_view::npos;) {
        out->Copy(in, done, at);
        out->Insert(replacement_, in.Origin(at));
        done = at + 1;
      }
      out->Copy(in, done, end);
      begin = static_cast<uint32_t>(new_begin);
      end = static_cast<uint32_t>(out->text.size());
    }
    text->text = out->View();
  }

  std::string Describe() const override {
    constexpr std::array<const char*, 3> kSchemes = {"always", "first", "never"};
    return "Metaspace " + replacement_ + " " + kSchemes[static_cast<size_t>(scheme_)];
  }

 private:
  const std::string replacement_;
  const PrependScheme scheme_;
};

class PrefixSpace : public PretokenizerStep {
 public:
  void Apply(PretokenizedText* text) const override {
    AlignedBuffer* const out = FreeBuffer(text);
    const AlignedText in = text->text;
    for (auto& [begin, end] : text->pieces) {
      const size_t new_begin = out->text.size();
      if (in.text[begin] != ' ') out->Insert(" ", in.Origin(begin));
      out->Copy(in, begin, end);
      begin = static_cast<uint32_t>(new_begin);
      end = static_cast<uint32_t>(out->text.size());
    }
    text->text = out->View();
  }
  std::string Describe() const override { return "PrefixSpace"; }
};

// Several steps that count as one.
class Sequence : public PretokenizerStep {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PretokenizerStep>> steps)
      : steps_(std::move(steps)) {}
  void Apply(PretokenizedText* text) const override {
    for (const auto& step : steps_) step->Apply(text);
  }
  std::string Describe() const override {
    std::string text;
    for (const auto& step : steps_) {
      if (!text.empty()) text += '\n';
      text += step->Describe();
    }
    return text;
  }

 private:
  const std::vector<std::unique_ptr<PretokenizerStep>> steps_;
};

}  // namespace

std::unique_ptr<PretokenizerStep> MakeSplit(Pattern pattern, SplitBehavior behavior, bool invert) {
  constexpr std::array<const char*, 5> kBehaviors = {"removed", "isolated", "merged with previous",
                                                     "merged with next", "contiguous"};
  std::string name = std::string("Split ") + kBehaviors[static_cast<size_t>(behavior)] +
                     (invert ? " inverted" : "") + (pattern.is_literal() ? " text " : " regex ") +
                     pattern.source();
  return std::make_unique<Split>(std::move(pattern), behavior, invert, std::move(name));
}

std::unique_ptr<PretokenizerStep> MakeDigits(bool individual) {
  std::string expression = "[";
  expression += NumericCharacterClass();
  expression += individual ? "]" : "]+";
  Pattern numeric = Pattern::Regex(expression);
  return std::make_unique<Split>(std::move(numeric), SplitBehavior::kIsolated, false,
                                 individual ? "Digits individual" : "Digits");
}

std::unique_ptr<PretokenizerStep> MakeMetaspace(std::string replacement, PrependScheme scheme,
                                                bool split) {
  if (!split) return std::make_unique<Metaspace>(std::move(replacement), scheme);
  std::vector<std::unique_ptr<PretokenizerStep>> steps;
  steps.push_back(std::make_unique<Metaspace>(replacement, scheme));
  steps.push_back(MakeSplit(Pattern::Literal(replacement), SplitBehavior::kMergedWithNext, false));
  return std::make_unique<Sequence>(std::move(steps));
}

std::unique_ptr<PretokenizerStep> MakePrefixSpace() { return std::make_unique<PrefixSpace>(); }

void Pretokenizer::Apply(const AlignedText& text, PretokenizedText* result) const {
  result->text = text;
  result->pieces.clear();
  AddPiece(0, text.text.size(), &result->pieces);
  for (const auto& step : steps_) step->Apply(result);
}

std::string Pretokenizer::Describe() const {
  std::string text;
  for (const auto& step : steps_) text += step->Describe() + "\n";
  return text;
}

}  // namespace extrospect
