#include "train/loop/tfevents.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace extrospect {
namespace {

TEST(TfEventsTest, Crc32cOfTheStandard) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(""), 0u);
}

// The bytes that TensorFlow's writer puts first when its clock stands at 0.
TEST(TfEventsTest, TheHeaderIsTheKnownOne) {
  const std::string header = EventFileHeader();
  const std::string body = std::string("\x09\0\0\0\0\0\0\0\0", 9) + "\x1A\x0D" + "brain.Event:2";
  ASSERT_EQ(header.size(), 8 + 4 + body.size() + 4);
  EXPECT_EQ(header.substr(0, 8), std::string("\x18\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(header.substr(12, body.size()), body);
}

// The masked checksum of a length of 24 in every TensorBoard file: a3 7f 4b 22.
TEST(TfEventsTest, TheMaskedChecksumIsTheKnownOne) {
  EXPECT_EQ(EventFileHeader().substr(8, 4), "\xA3\x7F\x4B\x22");
}

TEST(TfEventsTest, AScalarIsSerialisedFieldByField) {
  const std::string event = ScalarEvent(2.0, 300, {{"a/b", 0.5}});
  const std::string value = std::string("\x0A\x03", 2) + "a/b" + std::string("\x15\0\0\0\x3F", 5);
  const std::string summary = std::string("\x0A\x0A", 2) + value;
  const std::string body = std::string("\x09\0\0\0\0\0\0\0\x40", 9) +
                           std::string("\x10\xAC\x02", 3) + std::string("\x2A\x0C", 2) + summary;
  EXPECT_EQ(event, TfRecord(body));
}

}  // namespace
}  // namespace extrospect
