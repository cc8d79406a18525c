#include "extract/selection.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "extract/prepare.h"

namespace extrospect {
namespace {

using Positions = std::vector<uint32_t>;

const std::vector<MessageSpan> kMessages = {{"user", 2, 4}, {"assistant", 6, 9}, {"user", 11, 12}};

Positions Select(const char* name) { return Selection::Parse(name).Positions(14, kMessages); }

TEST(SelectionTest, PicksTheNamedTokens) {
  EXPECT_EQ(Select("all").size(), 14u);
  EXPECT_EQ(Select("last"), Positions({13}));
  EXPECT_EQ(Select("last:3"), Positions({11, 12, 13}));
  EXPECT_EQ(Select("last:99").size(), 14u);
  EXPECT_EQ(Select("content"), Positions({2, 3, 6, 7, 8, 11}));
  EXPECT_EQ(Select("role:assistant"), Positions({6, 7, 8}));
  EXPECT_EQ(Select("role:system"), Positions());
  EXPECT_EQ(Select("message:-1"), Positions({11}));
  EXPECT_EQ(Select("message:0"), Positions({2, 3}));
  EXPECT_EQ(Select("message:3"), Positions());
}

TEST(SelectionTest, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "first", "last:0", "last:x", "role:", "message:", "all:1"}) {
    EXPECT_THROW(Selection::Parse(text), Error) << text;
  }
  EXPECT_EQ(Selection::ParseList("content,last:2").size(), 2u);
  EXPECT_THROW(Selection::ParseList("content,"), Error);
}

TEST(PlanBatchesTest, PutsLikeWithLikeAndKeepsTheBudget) {
  const std::vector<uint32_t> lengths = {5, 20, 7, 6, 3};
  const auto batches = PlanBatches(lengths, 12);
  ASSERT_EQ(batches.size(), 4u);
  EXPECT_EQ(batches[0], std::vector<uint32_t>({1}));  // longer than the budget: alone
  EXPECT_EQ(batches[1], std::vector<uint32_t>({2}));
  EXPECT_EQ(batches[2], std::vector<uint32_t>({3, 0}));
  EXPECT_EQ(batches[3], std::vector<uint32_t>({4}));
}

PreparedTranscript Tokens(std::vector<int32_t> tokens) { return {std::move(tokens), {}}; }

TEST(SharedPrefixTest, NeedsHalfOfTheTranscriptsAndLeavesEachItsLastToken) {
  const std::vector<int32_t> prefix = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  auto with = [&](int32_t next) {
    std::vector<int32_t> tokens = prefix;
    tokens.push_back(next);
    return Tokens(tokens);
  };
  std::vector<PreparedTranscript> transcripts = {with(20), with(21), Tokens({5, 5, 5})};
  EXPECT_EQ(SharedPrefix(transcripts), prefix);
  // A transcript that is the prefix and no more does not count for its last token.
  transcripts = {Tokens(prefix), with(20), Tokens({5}), Tokens({6})};
  EXPECT_EQ(SharedPrefix(transcripts).size(), 8u);
  transcripts = {with(20), Tokens({4, 4}), Tokens({5, 5})};
  EXPECT_TRUE(SharedPrefix(transcripts).empty());
}

}  // namespace
}  // namespace extrospect
