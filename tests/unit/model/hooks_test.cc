#include "model/hooks.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace extrospect {
namespace {

using Blocks = std::vector<int64_t>;

TEST(HooksTest, NamesGoBothWays) {
  EXPECT_EQ(HookName(7), "blocks.7.hook_resid_post");
  EXPECT_EQ(HookName(kEmbeddingBlock), "blocks.0.hook_resid_pre");
  EXPECT_EQ(ParseHookName("blocks.7.hook_resid_post"), 7);
  EXPECT_EQ(ParseHookName("blocks.0.hook_resid_pre"), kEmbeddingBlock);
  EXPECT_EQ(ParseHookName("model.layers.7.output"), 7);
  EXPECT_THROW(ParseHookName("blocks.x.hook_resid_post"), Error);
  EXPECT_THROW(ParseHookName("blocks.-1.hook_resid_post"), Error);
}

TEST(HooksTest, PercentOfDepthIsTheBlockThatEndsThere) {
  EXPECT_EQ(ParseLayers("50%", 30), Blocks({14}));
  EXPECT_EQ(ParseLayers("0%", 30), Blocks({0}));
  EXPECT_EQ(ParseLayers("1%", 30), Blocks({0}));
  EXPECT_EQ(ParseLayers("70%", 30), Blocks({20}));
  EXPECT_EQ(ParseLayers("100%", 30), Blocks({29}));
  EXPECT_EQ(ParseLayers("33.4%", 30), Blocks({10}));
}

TEST(HooksTest, ListsAreSortedAndUnique) {
  EXPECT_EQ(ParseLayers("7, 3,3,model.layers.5.output", 30), Blocks({3, 5, 7}));
  EXPECT_EQ(ParseLayers("4-6,blocks.0.hook_resid_pre", 30), Blocks({-1, 4, 5, 6}));
  EXPECT_EQ(ParseLayers("all", 3), Blocks({0, 1, 2}));
}

TEST(HooksTest, RefusesBlocksThatTheModelDoesNotHave) {
  for (const char* text : {"30", "-1", "", "1,", "101%", "-5%", "nan%", "6-4", "0-30", "x"}) {
    EXPECT_THROW(ParseLayers(text, 30), Error) << text;
  }
}

}  // namespace
}  // namespace extrospect
