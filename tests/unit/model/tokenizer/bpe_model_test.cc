#include "model/tokenizer/bpe_model.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "tests/cpu_time.h"
#include "tests/unit/model/error_message.h"

namespace extrospect {
namespace {

// A vocabulary from its tokens (the index is the id) and merges.
BpeRules Rules(const std::vector<std::string>& tokens,
               const std::vector<std::pair<std::string, std::string>>& merges) {
  BpeRules rules;
  for (size_t i = 0; i < tokens.size(); ++i) {
    rules.vocabulary.emplace_back(tokens[i], static_cast<int32_t>(i));
  }
  rules.merges = merges;
  return rules;
}

// With the 256 byte tokens of a byte-fallback vocabulary behind the others.
BpeRules WithBytes(BpeRules rules) {
  rules.byte_fallback = true;
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof(token), "<0x%02X>", byte);
    rules.vocabulary.emplace_back(token, static_cast<int32_t>(rules.vocabulary.size()));
  }
  return rules;
}

std::vector<int32_t> Ids(const BpeModel& model, std::string_view word) {
  BpeTokens tokens;
  model.Encode(word, &tokens);
  return tokens.ids;
}

using IdList = std::vector<int32_t>;

TEST(BpeModel, MergesByRankThenFromTheLeft) {
  const BpeModel model(Rules({"a", "b", "c", "ab", "bc", "abc", "aa"},
                             {{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"a", "a"}}));
  EXPECT_EQ(Ids(model, "abc"), IdList{5});
  EXPECT_EQ(Ids(model, "ab"), IdList{3});
  EXPECT_EQ(Ids(model, "aaa"), (IdList{6, 0}));
  EXPECT_EQ(Ids(model, ""), IdList{});
  BpeTokens tokens;
  model.Encode("abcaab", &tokens);
  EXPECT_EQ(tokens.ids, (IdList{5, 0, 3}));
  EXPECT_EQ(tokens.begin, (std::vector<uint32_t>{0, 3, 4}));
}

TEST(BpeModel, OfTwoEqualMergesTheLaterCounts) {
  const BpeModel model(Rules({"a", "b", "ab", "ba"}, {{"a", "b"}, {"b", "a"}, {"a", "b"}}));
  EXPECT_EQ(Ids(model, "aba"), (IdList{0, 3}));
}

TEST(BpeModel, UnknownCharacters) {
  BpeRules rules = Rules({"<unk>", "a"}, {});
  EXPECT_EQ(Ids(BpeModel(rules), "xax"), IdList{1});
  rules.unknown = "<unk>";
  EXPECT_EQ(Ids(BpeModel(rules), "xyaz"), (IdList{0, 0, 1, 0}));
  rules.fuse_unknown = true;
  EXPECT_EQ(Ids(BpeModel(rules), "xyaz"), (IdList{0, 1, 0}));
  rules = WithBytes(rules);
  EXPECT_EQ(Ids(BpeModel(rules), "aé"), (IdList{1, 2 + 0xC3, 2 + 0xA9}));
  rules.vocabulary.resize(2 + 0xC4);  // without the bytes from C4 on
  EXPECT_EQ(Ids(BpeModel(rules), "éœa"), (IdList{2 + 0xC3, 2 + 0xA9, 0, 1}));
}

TEST(BpeModel, WholeWordsFirstIfAsked) {
  BpeRules rules = Rules({"a", "b", "c", "ab", "abc"}, {{"a", "b"}});
  EXPECT_EQ(Ids(BpeModel(rules), "abc"), (IdList{3, 2}));
  rules.ignore_merges = true;
  EXPECT_EQ(Ids(BpeModel(rules), "abc"), IdList{4});
  EXPECT_EQ(Ids(BpeModel(rules), "abcc"), (IdList{3, 2, 2}));
}

TEST(BpeModel, ByteLevelWordsAreBytes) {
  BpeRules rules = Rules({"a", "\u0120", "\u0120a", "\u00c3", "\u00a9", "\u00c3\u00a9"},
                         {{"\u0120", "a"}, {"\u00c3", "\u00a9"}});
  rules.byte_level = true;
  EXPECT_EQ(Ids(BpeModel(rules), " a\xC3\xA9"), (IdList{2, 5}));
}

TEST(BpeModel, WrongVocabulariesAreErrors) {
  EXPECT_PRED2(Contains, MessageOf([] { BpeModel(Rules({"a", "b"}, {{"a", "b"}})); }), "merge 0");
  EXPECT_PRED2(Contains, MessageOf([] { BpeModel(Rules({"a"}, {{"a", "b"}})); }), "\"b\"");
  BpeRules rules = Rules({"a"}, {});
  rules.unknown = "<unk>";
  EXPECT_PRED2(Contains, MessageOf([&] { BpeModel{rules}; }), "<unk>");
  rules = Rules({"a"}, {});
  rules.vocabulary[0].second = -1;
  EXPECT_THROW(BpeModel{rules}, Error);
  rules.vocabulary[0].second = 1 << 30;
  EXPECT_THROW(BpeModel{rules}, Error);
}

// The straightforward algorithm: again and again the best pair anywhere.
IdList Slowly(const BpeRules& rules, const std::string& word) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  for (;;) {
    size_t best = rules.merges.size(), at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      for (size_t rank = 0; rank < best; ++rank) {
        if (rules.merges[rank] == std::pair(parts[i], parts[i + 1])) best = rank, at = i;
      }
    }
    if (best == rules.merges.size()) break;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
  IdList ids;
  for (const std::string& part : parts) {
    for (const auto& [token, id] : rules.vocabulary) {
      if (token == part) ids.push_back(id);
    }
  }
  return ids;
}

// Random vocabularies over few letters; words short, long, and cut where nothing is merged.
TEST(BpeModel, IsTheStraightforwardAlgorithm) {
  RandomStream random(7, "bpe");
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c", "d", " "};
    std::vector<std::pair<std::string, std::string>> merges;
    while (merges.size() < 25) {
      const std::string left = tokens[random.Below(tokens.size())];
      const std::string right = tokens[random.Below(tokens.size())];
      const std::string merged = left + right;
      if (merged.size() > 9 || merged.find(' ', 1) != std::string::npos) continue;
      if (std::find(tokens.begin(), tokens.end(), merged) != tokens.end()) continue;
      tokens.push_back(merged);
      merges.emplace_back(left, right);
    }
    const BpeRules rules = Rules(tokens, merges);
    const BpeModel model(rules), cutting(WithBytes(rules));
    for (int word = 0; word < 20; ++word) {
      std::string text;
      const size_t size = random.Below(word % 2 == 0 ? 20 : 200);
      while (text.size() < size) text += "abcd "[random.Below(5)];
      const IdList expected = Slowly(rules, text);
      for (int again = 0; again < 2; ++again) {  // the second time from memory
        EXPECT_EQ(Ids(model, text), expected) << text;
        EXPECT_EQ(Ids(cutting, text), expected) << text;
      }
    }
  }
}

TEST(BpeModel, AMegabyteIsNotSlow) {
  std::vector<std::string> tokens = {"a"};
  std::vector<std::pair<std::string, std::string>> merges;
  for (int i = 0; i < 6; ++i) {
    merges.emplace_back(tokens.back(), tokens.back());
    tokens.push_back(tokens.back() + tokens.back());
  }
  const BpeModel model(Rules(tokens, merges));
  const double seconds =
      CpuSeconds([&] { EXPECT_EQ(Ids(model, std::string(1 << 20, 'a')).size(), size_t{1} << 14); });
  EXPECT_LT(seconds, 3);
}

TEST(BpeModel, ThreadsDoNotDisturbEachOther) {
  const BpeRules rules = Rules({"a", "b", "c", "ab", "bc", "abc", "ca", "cab"},
                               {{"a", "b"}, {"c", "ab"}, {"b", "c"}, {"c", "a"}});
  const BpeModel model(rules);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      RandomStream random(t, "threads");
      for (int i = 0; i < 2000; ++i) {
        std::string word;
        for (size_t n = random.Below(8); n > 0; --n) word += "abc"[random.Below(3)];
        wrong[t] += Ids(model, word) != Slowly(rules, word);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

}  // namespace
}  // namespace extrospect
