#include "base/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace extrospect {
namespace {

TEST(ProgressTest, ShortNumbersHaveThreeDigits) {
  EXPECT_EQ(ShortNumber(0), "0");
  EXPECT_EQ(ShortNumber(999), "999");
  EXPECT_EQ(ShortNumber(1234), "1.23k");
  EXPECT_EQ(ShortNumber(3.4e6), "3.40M");
  EXPECT_EQ(ShortNumber(0.5), "0.50");
  EXPECT_EQ(ShortNumber(99950), "100k");
}

TEST(ProgressTest, ClockTimes) {
  EXPECT_EQ(ClockTime(5), "0:05");
  EXPECT_EQ(ClockTime(245), "4:05");
  EXPECT_EQ(ClockTime(3723), "1:02:03");
  EXPECT_EQ(ClockTime(-1), "0:00");
}

TEST(ProgressTest, EndsWithALineWhereThereIsNoTerminal) {
  std::FILE* const file = std::tmpfile();
  {
    Progress progress("extract", "rows", 4, file);
    progress.Add(3, "loss 2");
    progress.Add(1, "loss 1");
  }
  std::rewind(file);
  char buffer[256] = {};
  const size_t size = std::fread(buffer, 1, sizeof buffer - 1, file);
  std::fclose(file);
  const std::string text(buffer, size);
  EXPECT_NE(text.find("extract 100 %  4/4 rows"), std::string::npos) << text;
  EXPECT_NE(text.find("  loss 1\n"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(ProgressTest, ANullStreamIsSilent) {
  Progress progress("x", "y", 1, nullptr);
  progress.Add(1, "note");
  EXPECT_GT(progress.seconds(), 0.0);
}

}  // namespace
}  // namespace extrospect
