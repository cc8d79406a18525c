#include "records/labels.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"

namespace extrospect {
namespace {

using nlohmann::json;

TEST(LabelsTest, TheMainLabelIsOneOfAll) {
  const Labels both = ParseLabels(json{{"emotion", "sad"}, {"emotions", {"calm", "sad"}}}, "x");
  EXPECT_EQ(both.emotions, (std::vector<std::string>{"sad", "calm"}));
  const Labels list = ParseLabels(json{{"emotions", {"calm", "sad"}}}, "x");
  EXPECT_EQ(list.emotion, "calm");
  EXPECT_TRUE(ParseLabels(json{{"emotion", nullptr}}, "x").emotions.empty());
}

TEST(LabelsTest, ValidationIsDev) {
  EXPECT_EQ(ParseLabels(json{{"split", "validation"}}, "x").split, "dev");
  EXPECT_EQ(ParseLabels(json{{"split", "valid"}}, "x").split, "dev");
  EXPECT_EQ(ParseLabels(json{{"split", "unseen"}}, "x").split, "unseen");
}

TEST(LabelsTest, WrongTypesAreNamed) {
  for (const json& wrong : {json{{"emotion", 3}}, json{{"emotions", "sad"}},
                            json{{"emotions", {1}}}, json{{"hard", true}}, json{{"split", 1}}}) {
    try {
      ParseLabels(wrong, "here");
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("here, field '" + wrong.begin().key() + "'"), text.npos) << text;
    }
  }
}

TEST(AssignSplitsTest, KeepsSituationsTogether) {
  std::vector<Labels> labels(600);
  std::vector<SplitEntry> entries;
  for (size_t i = 0; i < labels.size(); ++i) {
    labels[i].situation = "s" + std::to_string(i / 3);
    entries.push_back({"t" + std::to_string(i), &labels[i]});
  }
  EXPECT_NE(AssignSplits(entries, "x").find("80/10/10"), std::string::npos);
  std::map<std::string, int> counts;
  for (size_t i = 0; i < labels.size(); ++i) {
    EXPECT_EQ(labels[i].split, labels[i - i % 3].split);
    ++counts[labels[i].split];
  }
  EXPECT_NEAR(counts["train"], 480, 60);
  EXPECT_GT(counts["dev"], 0);
  EXPECT_GT(counts["test"], 0);
}

TEST(AssignSplitsTest, LeavesGivenSplitsAndRefusesOthers) {
  Labels with, without;
  with.split = "test";
  EXPECT_EQ(AssignSplits({{"a", &with}, {"b", &without}}, "x"), "");
  EXPECT_EQ(without.split, "");
  with.split = "tarin";
  EXPECT_THROW(AssignSplits({{"a", &with}}, "x"), Error);
}

}  // namespace
}  // namespace extrospect
