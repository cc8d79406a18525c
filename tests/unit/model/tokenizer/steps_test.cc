// The stations on the way from text to words: patterns, normalizers, pre-tokenizers, added tokens.
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/byte_level.h"
#include "model/tokenizer/known_pretokenizers.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/pattern.h"
#include "model/tokenizer/pattern_dialect.h"
#include "model/tokenizer/pretokenizer.h"
#include "model/tokenizer/token_decoder.h"
#include "tests/cpu_time.h"
#include "tests/unit/model/error_message.h"

namespace extrospect {
namespace {

constexpr size_t kMegabyte = 1'000'000;

std::string Repeat(std::string_view unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

// Matches in brackets: "a[b]c".
std::string Cut(const Pattern& pattern, std::string_view text) {
  std::vector<PatternPart> parts;
  pattern.Cut(text, &parts);
  std::string shown;
  size_t done = 0;
  for (const PatternPart& part : parts) {
    EXPECT_EQ(part.begin, done);
    done = part.end;
    const std::string inside(text.substr(part.begin, part.end - part.begin));
    shown += part.is_match ? "[" + inside + "]" : inside;
  }
  EXPECT_EQ(done, text.size());
  return shown;
}

std::string Words(const Pretokenizer& pretokenizer, std::string_view text) {
  PretokenizedText result;
  pretokenizer.Apply({text}, &result);
  std::string shown;
  for (const auto& [begin, end] : result.pieces) {
    if (!shown.empty()) shown += '|';
    shown += result.text.text.substr(begin, end - begin);
  }
  return shown;
}

std::string Words(std::unique_ptr<PretokenizerStep> step, std::string_view text) {
  Pretokenizer pretokenizer;
  pretokenizer.Add(std::move(step));
  return Words(pretokenizer, text);
}

struct Normalized {
  std::string text;
  std::vector<uint32_t> origins;
};

Normalized Apply(const Normalizer& normalizer, std::string_view text) {
  Normalizer::Buffers buffers;
  const AlignedText result = normalizer.Apply({text}, &buffers);
  Normalized normalized{std::string(result.text), {}};
  for (size_t i = 0; i < result.text.size(); ++i) normalized.origins.push_back(result.Origin(i));
  return normalized;
}

template <typename... Steps>
Normalizer NormalizerOf(Steps... steps) {
  Normalizer normalizer;
  (normalizer.Add(std::move(steps)), ...);
  return normalizer;
}

TEST(Pattern, CutsAtMatches) {
  EXPECT_EQ(Cut(Pattern::Literal("ab"), "xabyabab"), "x[ab]y[ab][ab]");
  EXPECT_EQ(Cut(Pattern::Literal("ab"), ""), "");
  EXPECT_EQ(Cut(Pattern::Regex("[0-9]+"), "a12b3"), "a[12]b[3]");
  EXPECT_EQ(Cut(Pattern::Regex("x*"), "axxb"), "[]a[xx]b[]");
  EXPECT_EQ(Cut(Pattern::Regex("(?=b)"), "abab"), "a[]ba[]b");
  EXPECT_EQ(Cut(Pattern::Regex("é|."), "éa\n"), "[é][a]\n");
  EXPECT_THROW(Pattern::Literal(""), Error);
}

TEST(Pattern, MeansWhatOnigurumaMeans) {
  EXPECT_EQ(Cut(Pattern::Regex(R"(\s)"), "a\u180e \u0085\u200b"), "a\u180e[ ][\u0085]\u200b");
  EXPECT_EQ(Cut(Pattern::Regex(R"([^\s]+)"), "a\u180eb\u3000c"), "[a\u180eb]\u3000[c]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\S+)"), "a\u180eb\u3000c"), "[a\u180eb]\u3000[c]");
  EXPECT_EQ(Cut(Pattern::Regex("^a$"), "a\nba\na"), "[a]\nba\n[a]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\h+)"), "xAFz \t"), "x[AF]z \t");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\w+)"), "e\u0301_\u203f-\u00bd"), "[e\u0301_\u203f]-\u00bd");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\d)"), "1\u0663\u00bd\U00010d45"),
            "[1][\u0663]\u00bd[\U00010d45]");
  // Letters, marks, numbers and symbols of Unicode 15 and 16.
  EXPECT_EQ(Cut(Pattern::Regex(R"(\p{L}+)"), "a\U00031350-"), "[a\U00031350]-");
  EXPECT_EQ(Cut(Pattern::Regex(R"([^\p{L}]+)"), "-\U00031350-"), "[-]\U00031350[-]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\P{L}+)"), "-\U00031350-"), "[-]\U00031350[-]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\p{^L}+)"), "-\U00031350-"), "[-]\U00031350[-]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\p{Lo})"), "\U00011f04"), "[\U00011f04]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\p{M})"), "\u0897"), "[\u0897]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\p{S})"), "\U0001fae8"), "[\U0001fae8]");
  EXPECT_EQ(Cut(Pattern::Regex(R"(\p{Han}+)"), "\u4e00\u3001\U00031350"),
            "[\u4e00]\u3001[\U00031350]");
  EXPECT_EQ(Cut(Pattern::Regex("(?i:'s)"), "'S'\u017f's"), "['S]['\u017f]['s]");
  EXPECT_EQ(Cut(Pattern::Regex("[[:digit:]]"), "a1"), "a[1]");
}

TEST(Pattern, RefusesWhatItCannotExpress) {
  for (const char* expression : {"(", "[", "a{2,1}", R"(\p{Nonsense})", R"([\p{L}&&[^a]])",
                                 "[a[bc]]", "\\", R"(\p{)", "(?<=a*)b", R"(\C)"}) {
    EXPECT_THROW(Pattern::Regex(expression), Error) << expression;
  }
  EXPECT_PRED2(Contains, MessageOf([] { Pattern::Regex("a(b"); }), "a(b");
  EXPECT_THROW(Pattern::Regex(std::string(1 << 20, 'a')), Error);
}

TEST(Pattern, GivesUpInsteadOfHanging) {
  std::vector<PatternPart> parts;
  const double seconds = CpuSeconds([&] {
    EXPECT_THROW(Pattern::Regex("(a+)+[xy]").Cut(std::string(200, 'a'), &parts), Error);
    EXPECT_THROW(Pattern::Regex("(x|xx)+[yz]").Cut(std::string(200, 'x'), &parts), Error);
  });
  EXPECT_LT(seconds, 20);
}

TEST(Normalizer, ComposesAndKeepsTrackOfOrigins) {
  const Normalizer nfc = NormalizerOf(MakeUnicodeNormalizer(UnicodeForm::kNfc));
  const Normalized result = Apply(nfc, "ae\u0301\u0323z");
  EXPECT_EQ(result.text, "a\u1eb9\u0301z");
  EXPECT_EQ(result.origins, (std::vector<uint32_t>{0, 1, 1, 1, 1, 1, 6}));
  EXPECT_EQ(Apply(nfc, "\u1112\u1161\u11ab").text, "\ud55c");
  EXPECT_EQ(Apply(nfc, "\u212b\u2126").text, "\u00c5\u03a9");
  EXPECT_EQ(Apply(nfc, "\u0301a").text, "\u0301a");
  EXPECT_EQ(Apply(nfc, "").text, "");
  const Normalizer nfd = NormalizerOf(MakeUnicodeNormalizer(UnicodeForm::kNfd));
  EXPECT_EQ(Apply(nfd, "\u1ec7").text, "e\u0323\u0302");
  const Normalizer nfkc = NormalizerOf(MakeUnicodeNormalizer(UnicodeForm::kNfkc));
  EXPECT_EQ(Apply(nfkc, "\ufb01\u2460\uff76\uff9e").text, "fi1\u30ac");
  const Normalizer nfkd = NormalizerOf(MakeUnicodeNormalizer(UnicodeForm::kNfkd));
  EXPECT_EQ(Apply(nfkd, "\u1e9b\u0323").text, "s\u0323\u0307");
}

// The reference's tables are of Unicode 9; what is younger it takes for letters of no kind.
TEST(Normalizer, LeavesYoungCharactersAlone) {
  const Normalizer nfc = NormalizerOf(MakeUnicodeNormalizer(UnicodeForm::kNfc));
  EXPECT_EQ(Apply(nfc, "a\u0898\u0323").text, "a\u0898\u0323");
  EXPECT_EQ(Apply(nfc, "\U00011935\U00011930").text, "\U00011935\U00011930");
  const Normalizer nfkc = NormalizerOf(MakeUnicodeNormalizer(UnicodeForm::kNfkc));
  EXPECT_EQ(Apply(nfkc, "\u32ff\U0001fbf0").text, "\u32ff\U0001fbf0");
}

TEST(Normalizer, OrdersALongRunOfMarksInTime) {
  const Normalizer nfc = NormalizerOf(MakeUnicodeNormalizer(UnicodeForm::kNfc));
  const std::string text = "a" + Repeat("\u0301\u0323", kMegabyte);
  const double seconds =
      CpuSeconds([&] { EXPECT_EQ(Apply(nfc, text).text.substr(0, 5), "\u1ea1\u0323"); });
  EXPECT_LT(seconds, 5);
}

TEST(Normalizer, ReplacesPrependsAndStrips) {
  const Normalizer llama = NormalizerOf(MakePrepend("_"), MakeReplace(Pattern::Literal(" "), "__"));
  const Normalized result = Apply(llama, "a b");
  EXPECT_EQ(result.text, "_a__b");
  EXPECT_EQ(result.origins, (std::vector<uint32_t>{0, 0, 1, 1, 2}));
  EXPECT_EQ(Apply(llama, "").text, "");
  const Normalizer ends = NormalizerOf(MakeReplace(Pattern::Regex("$"), "!"));
  EXPECT_EQ(Apply(ends, "a\nb").text, "a!\nb!");
  EXPECT_EQ(Apply(ends, "a\nb").origins, (std::vector<uint32_t>{0, 1, 1, 2, 3}));
  const Normalizer strip =
      NormalizerOf(MakeStrip(true, true), MakeReplace(Pattern::Literal("b"), "c"));
  EXPECT_EQ(Apply(strip, "\u3000 b \u00a0").text, "c");
  EXPECT_EQ(Apply(strip, "\u3000 b \u00a0").origins, (std::vector<uint32_t>{4}));
  EXPECT_EQ(Apply(strip, " \u3000 ").text, "");
  EXPECT_EQ(Apply(NormalizerOf(MakeStrip(true, false)), " a ").text, "a ");
}

TEST(Normalizer, StopsWhereTextGrowsBeyondTheLimit) {
  const std::string many(100, 'a');
  const Normalizer grows =
      NormalizerOf(MakeReplace(Pattern::Literal("a"), many), MakePrepend(many));
  Normalizer::Buffers buffers;
  buffers.a.limit = buffers.b.limit = 1000;
  EXPECT_EQ(grows.Apply({std::string_view(many).substr(0, 9)}, &buffers).text.size(), 1000u);
  EXPECT_THROW(grows.Apply({std::string_view(many).substr(0, 10)}, &buffers), Error);
  EXPECT_THROW(grows.Apply({many}, &buffers), Error);
}

TEST(TokenDecoder, StopsWhereTextGrowsBeyondTheLimit) {
  const std::string many(1000, 'a');
  TokenDecoder grows;
  grows.Add(MakeReplaceDecoder(Pattern::Literal("a"), many));
  EXPECT_EQ(grows.DecodeOne("aa").size(), 2000u);
  EXPECT_THROW(grows.DecodeOne(many), Error);
  EXPECT_EQ(grows.Decode({many}).size(), 1'000'000u);
  EXPECT_THROW(grows.Decode(std::vector<std::string>(200, many)), Error);
}

TEST(Pretokenizer, SplitsInEveryWay) {
  const auto split = [](SplitBehavior behavior, bool invert = false) {
    return Words(MakeSplit(Pattern::Literal("-"), behavior, invert), "the-final--countdown-");
  };
  EXPECT_EQ(split(SplitBehavior::kRemoved), "the|final|countdown");
  EXPECT_EQ(split(SplitBehavior::kIsolated), "the|-|final|-|-|countdown|-");
  EXPECT_EQ(split(SplitBehavior::kMergedWithPrevious), "the-|final-|-|countdown-");
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext), "the|-final|-|-countdown|-");
  EXPECT_EQ(split(SplitBehavior::kContiguous), "the|-|final|--|countdown|-");
  EXPECT_EQ(split(SplitBehavior::kRemoved, true), "-|-|-|-");
}

TEST(Pretokenizer, SplitsDigits) {
  EXPECT_EQ(Words(MakeDigits(true), "a12\u00bd b\U00011de0"), "a|1|2|\u00bd| b|\U00011de0");
  EXPECT_EQ(Words(MakeDigits(false), "a12\u00bd b3"), "a|12\u00bd| b|3");
}

TEST(Pretokenizer, PutsSpacesInFront) {
  EXPECT_EQ(Words(MakeMetaspace("_", PrependScheme::kAlways, true), "a b  c"), "_a|_b|_|_c");
  EXPECT_EQ(Words(MakeMetaspace("_", PrependScheme::kAlways, true), " a"), "_a");
  EXPECT_EQ(Words(MakeMetaspace("_", PrependScheme::kNever, false), "a b"), "a_b");
  Pretokenizer first;
  first.Add(MakeSplit(Pattern::Literal("-"), SplitBehavior::kIsolated, false));
  first.Add(MakeMetaspace("_", PrependScheme::kFirst, false));
  EXPECT_EQ(Words(first, "a-b c"), "_a|-|b_c");
  Pretokenizer prefix;
  prefix.Add(MakeSplit(Pattern::Literal("-"), SplitBehavior::kIsolated, false));
  prefix.Add(MakePrefixSpace());
  prefix.Add(MakePrefixSpace());
  EXPECT_EQ(Words(prefix, "a-  b"), " a| -|  b");
  EXPECT_EQ(Words(prefix, ""), "");
}

TEST(KnownPretokenizers, CutAsTheirModelsDo) {
  const auto words = [](const char* name, const char* text) {
    return Words(MakeNamedPretokenizer(name).pretokenizer, text);
  };
  EXPECT_EQ(words("smollm", "It's  12 é"), "It|'s|  |1|2| é");
  EXPECT_EQ(words("gpt-2", "It's  12 é"), "It|'s| | 12| é");
  EXPECT_EQ(words("llama-bpe", "IT'S 1234\n\n x"), "IT|'S| |123|4|\n\n| x");
  EXPECT_EQ(words("qwen2", "IT'S 1234\n\n x"), "IT|'S| |1|2|3|4|\n\n| x");
  EXPECT_EQ(words("tekken", "camelCase HTTPServer 12/"), "camel|Case| HTTPServer| |1|2|/");
  EXPECT_EQ(words("deepseek-llm", "ab\n  中文 12"), "ab|\n|  |中文| |1|2");
  EXPECT_EQ(words("deepseek-v3", "ab中文 1234"), "ab|中文| |123|4");
}

TEST(KnownPretokenizers, UnknownNamesAreErrorsThatListTheKnown) {
  const std::string message = MessageOf([] { MakeNamedPretokenizer("no-such"); });
  EXPECT_PRED2(Contains, message, "no-such");
  for (const std::string& name : KnownPretokenizers()) EXPECT_PRED2(Contains, message, name);
  EXPECT_PRED2(Contains, MessageOf([] { MakeNamedPretokenizer(""); }), "nothing");
}

// No text makes any of them slow. The limit is loose; a quadratic search would take hours.
TEST(KnownPretokenizers, TakeLinearTime) {
  for (const std::string& name : KnownPretokenizers()) {
    const NamedPretokenizer named = MakeNamedPretokenizer(name);
    for (const char* unit : {"a", "A", "aA", " ", "\n", " \n", "\t", "1", "'", "!", "\u0301", "中",
                             "a1", "\u3000", "\r\n ", "'s", " a", "/\n"}) {
      const std::string text = Repeat(unit, kMegabyte / 4) + "x";
      const double seconds = CpuSeconds([&] {
        Normalizer::Buffers buffers;
        PretokenizedText result;
        named.pretokenizer.Apply(named.normalizer.Apply({text}, &buffers), &result);
      });
      EXPECT_LT(seconds, 4) << name << " on " << unit;
    }
  }
}

std::string Found(const AddedTokenMatcher& matcher, std::string_view text, bool special = true) {
  std::vector<AddedTokenMatcher::Match> matches;
  matcher.Find(text, special, &matches);
  std::string shown;
  for (const auto& match : matches) {
    shown += std::to_string(match.token) + ":" +
             std::string(text.substr(match.begin, match.end - match.begin)) + ";";
  }
  return shown;
}

TEST(AddedTokens, TheLeftmostThenTheLongestIsFound) {
  AddedTokenMatcher matcher;
  for (const char* content : {"ab", "abcd", "bc", "<s>", "é"}) matcher.Add({.content = content});
  EXPECT_EQ(Found(matcher, "xabcabcdbc<s>é<s"), "0:ab;1:abcd;2:bc;3:<s>;4:é;");
  EXPECT_EQ(Found(matcher, ""), "");
  EXPECT_EQ(Found(AddedTokenMatcher(), "ab"), "");
}

TEST(AddedTokens, SpecialOnesAreFoundOnDemand) {
  AddedTokenMatcher matcher;
  matcher.Add({.content = "<s>", .special = true});
  matcher.Add({.content = "s"});
  EXPECT_EQ(Found(matcher, "<s>s", true), "0:<s>;1:s;");
  // The one that is not wanted still hides what is inside it: the reference's way.
  EXPECT_EQ(Found(matcher, "<s>s", false), "1:s;");
}

TEST(AddedTokens, TakeWhiteSpaceAlong) {
  AddedTokenMatcher matcher;
  matcher.Add({.content = "L", .lstrip = true});
  matcher.Add({.content = "R", .rstrip = true});
  matcher.Add({.content = "N"});
  EXPECT_EQ(Found(matcher, "a \u3000L bN  L"), "0: \u3000L;2:N;0:  L;");
  EXPECT_EQ(Found(matcher, "R \n LR"), "1:R \n ;0:L;1:R;");
}

TEST(AddedTokens, SingleWordsStandAlone) {
  AddedTokenMatcher matcher;
  matcher.Add({.content = "the", .single_word = true});
  EXPECT_EQ(Found(matcher, "the other thé-the, théthe the"), "0:the;0:the;0:the;");
}

TEST(AddedTokens, AbsurdOnesAreRefused) {
  AddedTokenMatcher matcher;
  EXPECT_THROW(matcher.Add({.content = ""}), Error);
  EXPECT_THROW(matcher.Add({.content = std::string(2000, 'a')}), Error);
}

TEST(ByteLevel, IsAnAlphabet) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(BytesOfByteLevelToken(ByteLevelToken(bytes)), bytes);
  EXPECT_EQ(ByteLevelToken(" a\n\xC3"), "\u0120a\u010a\u00c3");
  EXPECT_FALSE(BytesOfByteLevelToken("a b").has_value());
  EXPECT_FALSE(BytesOfByteLevelToken("中").has_value());
}

}  // namespace
}  // namespace extrospect
