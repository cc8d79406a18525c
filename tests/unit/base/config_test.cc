#include "base/config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"

namespace extrospect {
namespace {

Config Sample() {
  return Config(
      "sample",
      {
          {.name = "rate", .value = 0.5, .help = "a rate", .min = 0, .max = 1},
          {.name = "steps", .value = 10, .help = "steps", .min = 1},
          {.name = "on", .value = true, .help = "a switch"},
          {.name = "kind", .value = "fast", .help = "a choice", .choices = {"fast", "slow"}},
          {.name = "hooks", .value = "auto", .help = "texts", .or_list = true},
          {.name = "sweep.doses", .value = {0.1, 0.2}, .help = "numbers"},
          {.name = "sweep.words", .value = {"a"}, .help = "texts"},
          {.name = "last", .value = "x", .help = "a text"},
      });
}

// The whole message of the UsageError that `action` must throw.
template <typename Action>
std::string Complaint(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ConfigTest, SetReadsJsonAndText) {
  Config config = Sample();
  config.Set("rate=1");
  config.Set("kind=slow");
  config.Set("on=false");
  config.Set("hooks=[\"a\",\"b\"]");
  config.Set("sweep.doses=[1,2,3]");
  config.Set("last=7");
  EXPECT_EQ(config.Number("rate"), 1.0);
  EXPECT_EQ(config.Text("kind"), "slow");
  EXPECT_FALSE(config.Flag("on"));
  EXPECT_EQ(config.TextList("hooks"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.NumberList("sweep.doses"), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(config.Text("last"), "7");
  // A list may become a text again, and a float that was given as an integer a float.
  config.Set("hooks=auto");
  config.Set("rate=0.25");
  EXPECT_EQ(config.TextList("hooks"), (std::vector<std::string>{"auto"}));
  EXPECT_EQ(config.Number("rate"), 0.25);
}

TEST(ConfigTest, UnknownKeysNameTheNearest) {
  Config config = Sample();
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("stepps=3"); }), "steps"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("sweep.dose=[1]"); }), "sweep.doses"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("doses=[1]"); }), "sweep.doses"));
  EXPECT_TRUE(Contains(
      Complaint([&] {
        config.Merge(nlohmann::ordered_json::parse(R"({"sweep": {"wrods": ["x"]}})"), "file.json");
      }),
      "sweep.words"));
}

TEST(ConfigTest, WrongTypesAndRangesAreRefused) {
  Config config = Sample();
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("rate=fast"); }), "rate"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("rate=1.5"); }), "from 0.0 to 1.0"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("steps=2.5"); }), "an integer"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("steps=0"); }), "out of range"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("kind=medium"); }), "fast, slow"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("on=1"); }), "true or false"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("sweep.doses=[\"x\"]"); }), "wrong type"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("sweep={\"doses\":3}"); }), "sweep.doses"));
  EXPECT_TRUE(Contains(Complaint([&] { config.Set("no equals"); }), "KEY=VALUE"));
}

TEST(ConfigTest, ADumpIsReadBackAndFilesMayHoldComments) {
  Config config = Sample();
  config.Set("steps=77");
  config.Set("sweep.words=[\"p\",\"q\"]");
  const std::string path = testing::TempDir() + "/config_test.json";
  std::ofstream(path) << config.Dump();
  Config again = Sample();
  again.MergeFile(path);
  EXPECT_EQ(again.Resolved(), config.Resolved());
  EXPECT_TRUE(Contains(config.Dump(), "// steps"));

  std::ofstream(path) << "// one\n{ /* two */ \"steps\": 5, \"// note\": 1 }";
  again.MergeFile(path);
  EXPECT_EQ(again.Integer("steps"), 5);
  std::ofstream(path) << "{\"steps\": ";
  EXPECT_TRUE(Contains(Complaint([&] { again.MergeFile(path); }), path));
}

TEST(ConfigTest, UndeclaredNamesAndDoubleDeclarationsAreBugs) {
  EXPECT_THROW(Sample().Integer("nonsense"), std::logic_error);
  const ConfigOption option = {.name = "x", .value = 1, .help = ""};
  EXPECT_THROW(Config("twice", {option, option}), std::logic_error);
}

TEST(ConfigTest, EditDistance) {
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("same", "same"), 0u);
}

}  // namespace
}  // namespace extrospect
