#include "extract/selection.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "extract/prepare.h"
#include "extract/to_file.h"

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
  std::string many = "last";
  for (int i = 1; i < 256; ++i) many += ",last";
  EXPECT_EQ(Selection::ParseList(many).size(), 256u);
  EXPECT_THROW(Selection::ParseList(many + ",last"), Error);
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

TEST(PlanPartsTest, CutsEvenlyAndInOrder) {
  // 32 batches of 10 tokens: four parts of eight.
  const std::vector<uint32_t> even(64, 5);
  EXPECT_EQ(PlanParts(even, 10), std::vector<uint32_t>({0, 16, 32, 48}));
  EXPECT_EQ(PlanParts(std::vector<uint32_t>{5, 20, 7}, 10), std::vector<uint32_t>({0}));
  // What is longer than a part leaves the parts that it covers out.
  EXPECT_EQ(PlanParts(std::vector<uint32_t>{5, 200, 5, 5, 100, 5}, 10),
            std::vector<uint32_t>({0, 2, 5}));
}

TEST(ShareOutTest, RanksTakeWholePartsInOrder) {
  ExtractPlan plan;
  for (const uint32_t tokens : {10, 10, 10, 30, 20, 20, 20}) {
    plan.layout.transcripts.push_back({"", "", 0, 0, tokens});
  }
  plan.parts = {0, 3, 4, 6};  // of 30, 30, 40 and 20 tokens
  const auto shares = [&](int ranks) {
    std::vector<std::pair<uint32_t, uint32_t>> all;
    for (const Share& share : ShareOut(plan, ranks)) all.emplace_back(share.begin, share.end);
    return all;
  };
  using Shares = std::vector<std::pair<uint32_t, uint32_t>>;
  EXPECT_EQ(shares(1), Shares({{0, 7}}));
  EXPECT_EQ(shares(2), Shares({{0, 4}, {4, 7}}));
  // More ranks than parts: some have nothing, none has what another has.
  uint32_t next = 0;
  for (const auto& [begin, end] : shares(7)) {
    if (begin == end) continue;
    EXPECT_EQ(begin, next);
    next = end;
  }
  EXPECT_EQ(next, 7u);
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
