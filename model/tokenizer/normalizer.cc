#include "model/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

struct Range {
  char32_t first, last;
};

// What Unicode 10 to 15 added to the tables of normalisation: marks that are put in order, and
// characters with a decomposition. The reference goes by Unicode 9 and leaves them as they are.
constexpr Range kYounger[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},
    {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785}, {0x10787, 0x107B0},
    {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938},
    {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34},
    {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45},
    {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
    {0x1E4EC, 0x1E4EF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool IsYounger(char32_t c) {
  const auto after =
      std::upper_bound(std::begin(kYounger), std::end(kYounger), c,
                       [](char32_t c, const Range& range) { return c < range.first; });
  return after != std::begin(kYounger) && c <= std::prev(after)->last;
}

char32_t FirstCharacter(std::string_view text, size_t at) { return NextCharacter(text, &at); }

// Whether `c` begins a stretch of text that can be normalised without what stands before it.
// Said too rarely at worst: everything that is a mark or a Hangul vowel or final consonant, or
// becomes one, is taken to lean on its predecessor.
bool StandsAlone(char32_t c) {
  if (c < 0x300 || IsYounger(c)) return true;
  if ((c >= 0x1160 && c <= 0x11FF) || (c >= 0xD7B0 && c <= 0xD7FB)) return false;  // Hangul jamo
  if ((c >= 0x3130 && c <= 0x318F) || (c >= 0xFF9E && c <= 0xFFDF)) return false;  // their kin
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return false;
    default:
      return true;
  }
}

class UnicodeNormalizer : public NormalizerStep {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form) {}

  bool Apply(AlignedText* text, AlignedBuffer* out) const override {
    const AlignedText in = *text;
    out->Clear();
    size_t copied = 0;  // everything before is in `out`
    std::vector<utf8proc_int32_t> characters;
    std::string normalized;
    for (size_t begin = 0, end; begin < in.text.size(); begin = end) {
      end = StretchEnd(in.text, begin);
      if (end - begin == 1 || IsYounger(FirstCharacter(in.text, begin))) continue;
      const std::string_view stretch = in.text.substr(begin, end - begin);
      Normalize(stretch, &characters, &normalized);
      if (normalized == stretch) continue;
      out->Copy(in, copied, begin);
      out->Insert(normalized, in.Origin(begin));
      copied = end;
    }
    if (copied == 0) return false;
    out->Copy(in, copied, in.text.size());
    *text = out->View();
    return true;
  }

  std::string Describe() const override {
    constexpr std::array<const char*, 4> kNames = {"NFC", "NFD", "NFKC", "NFKD"};
    return kNames[static_cast<size_t>(form_)];
  }

 private:
  static size_t StretchEnd(std::string_view text, size_t begin) {
    if (IsYounger(NextCharacter(text, &begin))) return begin;
    for (size_t next = begin; next < text.size(); begin = next) {
      if (StandsAlone(NextCharacter(text, &next))) break;
    }
    return begin;
  }

  // utf8proc's own whole-string function orders marks in quadratic time, which a long run of them
  // would make felt.
  void Normalize(std::string_view text, std::vector<utf8proc_int32_t>* characters,
                 std::string* normalized) const {
    const bool composed = form_ == UnicodeForm::kNfc || form_ == UnicodeForm::kNfkc;
    const bool compatible = form_ == UnicodeForm::kNfkc || form_ == UnicodeForm::kNfkd;
    const auto options =
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0) |
                                       (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE));

    characters->clear();
    for (size_t at = 0; at < text.size();) {
      const auto character = static_cast<utf8proc_int32_t>(NextCharacter(text, &at));
      constexpr size_t kLongest = 32;  // no decomposition has more than 18 characters
      const size_t before = characters->size();
      characters->resize(before + kLongest);
      const utf8proc_ssize_t size = utf8proc_decompose_char(character, characters->data() + before,
                                                            kLongest, options, nullptr);
      characters->resize(before + static_cast<size_t>(std::max<utf8proc_ssize_t>(size, 0)));
    }
    const auto order = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
    for (auto begin = characters->begin(); begin != characters->end();) {
      const auto is_starter = [&](utf8proc_int32_t c) { return order(c) == 0; };
      begin = std::find_if_not(begin, characters->end(), is_starter);
      const auto end = std::find_if(begin, characters->end(), is_starter);
      std::stable_sort(begin, end, [&](auto a, auto b) { return order(a) < order(b); });
      begin = end;
    }
    if (composed) {
      characters->resize(static_cast<size_t>(utf8proc_normalize_utf32(
          characters->data(), static_cast<utf8proc_ssize_t>(characters->size()), options)));
    }
    normalized->clear();
    for (const utf8proc_int32_t c : *characters) AppendUtf8(static_cast<char32_t>(c), normalized);
  }

  const UnicodeForm form_;
};

class Prepend : public NormalizerStep {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}

  bool Apply(AlignedText* text, AlignedBuffer* out) const override {
    if (text->text.empty() || prefix_.empty()) return false;
    out->Clear();
    out->Insert(prefix_, text->Origin(0));
    out->Copy(*text, 0, text->text.size());
    *text = out->View();
    return true;
  }
  std::string Describe() const override { return "Prepend " + prefix_; }

 private:
  const std::string prefix_;
};

class Replace : public NormalizerStep {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  bool Apply(AlignedText* text, AlignedBuffer* out) const override {
    const AlignedText in = *text;
    std::vector<PatternPart> parts;
    pattern_.Cut(in.text, &parts);
    if (parts.empty() || (parts.size() == 1 && !parts[0].is_match)) return false;
    out->Clear();
    out->text.reserve(in.text.size() * 2);
    out->origins.reserve(in.text.size() * 2);
    for (const PatternPart& part : parts) {
      if (!part.is_match) {
        out->Copy(in, part.begin, part.end);
      } else {
        // An empty match at the very end stands behind the last byte.
        const bool at_end = part.begin == in.text.size();
        out->Insert(content_, at_end ? in.Origin(part.begin - 1) + 1 : in.Origin(part.begin));
      }
    }
    *text = out->View();
    return true;
  }
  std::string Describe() const override {
    return std::string("Replace ") + (pattern_.is_literal() ? "text " : "regex ") +
           pattern_.source() + " by " + content_;
  }

 private:
  const Pattern pattern_;
  const std::string content_;
};

class Strip : public NormalizerStep {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  bool Apply(AlignedText* text, AlignedBuffer*) const override {
    const std::string_view bytes = text->text;
    size_t begin = 0, end = bytes.size();
    while (left_ && begin < end) {
      size_t next = begin;
      if (!IsWhiteSpace(NextCharacter(bytes, &next))) break;
      begin = next;
    }
    while (right_ && begin < end && IsWhiteSpace(CharacterBefore(bytes, end))) {
      do --end;
      while ((static_cast<uint8_t>(bytes[end]) & 0xC0) == 0x80);
    }
    *text = text->Sub(begin, end);
    return false;
  }
  std::string Describe() const override {
    return std::string("Strip") + (left_ ? " left" : "") + (right_ ? " right" : "");
  }

 private:
  const bool left_, right_;
};

}  // namespace

std::unique_ptr<NormalizerStep> MakeUnicodeNormalizer(UnicodeForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}
std::unique_ptr<NormalizerStep> MakePrepend(std::string prefix) {
  return std::make_unique<Prepend>(std::move(prefix));
}
std::unique_ptr<NormalizerStep> MakeReplace(Pattern pattern, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}
std::unique_ptr<NormalizerStep> MakeStrip(bool left, bool right) {
  return std::make_unique<Strip>(left, right);
}

AlignedText Normalizer::Apply(AlignedText text, Buffers* buffers) const {
  AlignedBuffer* free = &buffers->a;
  AlignedBuffer* taken = &buffers->b;
  for (const auto& step : steps_) {
    if (step->Apply(&text, free)) std::swap(free, taken);
  }
  return text;
}

std::string Normalizer::Describe() const {
  std::string text;
  for (const auto& step : steps_) text += step->Describe() + "\n";
  return text;
}

}  // namespace extrospect
