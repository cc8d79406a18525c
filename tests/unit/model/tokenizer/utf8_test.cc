#include "model/tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <string_view>

namespace extrospect {
namespace {

constexpr const char* kMark = "\uFFFD";

std::string Marks(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += kMark;
  return text;
}

// The Unicode standard, tables 3-8 to 3-11.
TEST(Utf8, ReplacesMaximalSubparts) {
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), Marks(8) + "A");
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), Marks(8) + "A");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            Marks(5) + "A" + Marks(2) + "B");
  EXPECT_EQ(ReplaceInvalidUtf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), Marks(4) + "A");
}

TEST(Utf8, KeepsWhatIsWhole) {
  const std::string text = "a\u00e9\u20ac\U0001F600 and a run of plain text that is longer";
  EXPECT_TRUE(IsValidUtf8(text));
  EXPECT_EQ(ReplaceInvalidUtf8(text), text);
  EXPECT_TRUE(IsValidUtf8(""));
  for (size_t n = 1; n < text.size(); ++n) {
    const bool whole = (static_cast<unsigned char>(text[n]) & 0xC0) != 0x80;
    EXPECT_EQ(IsValidUtf8(text.substr(0, n)), whole) << n;
  }
}

TEST(Utf8, OriginsPointAtTheInput) {
  std::vector<uint32_t> origins;
  EXPECT_EQ(ReplaceInvalidUtf8("a\xE2\x82z\xC3\xA9", &origins), "a\uFFFDz\u00e9");
  EXPECT_EQ(origins, (std::vector<uint32_t>{0, 1, 1, 1, 3, 4, 5}));
}

TEST(Utf8, FindsTheUnfinishedEnd) {
  EXPECT_EQ(UnfinishedUtf8Bytes(""), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes("abc"), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes("\u20ac"), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes("a\xE2"), 1u);
  EXPECT_EQ(UnfinishedUtf8Bytes("a\xE2\x82"), 2u);
  EXPECT_EQ(UnfinishedUtf8Bytes("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(UnfinishedUtf8Bytes("\xF0\x80"), 0u);      // can never be finished
  EXPECT_EQ(UnfinishedUtf8Bytes("\x80\x80\x80"), 0u);  // nor this
  EXPECT_EQ(UnfinishedUtf8Bytes("\xFF"), 0u);
}

TEST(Utf8, ReadsAndWritesCharacters) {
  for (const char32_t c : {U'\0', U'a', U'\x7F', U'\x80', U'\u07FF', U'\u0800', U'\uFFFF',
                           U'\U00010000', U'\U0010FFFF'}) {
    std::string text = "x";
    AppendUtf8(c, &text);
    size_t at = 1;
    EXPECT_EQ(NextCharacter(text, &at), c);
    EXPECT_EQ(at, text.size());
    EXPECT_EQ(CharacterBefore(text, text.size()), c);
  }
}

TEST(Utf8, KnowsWhiteSpaceAndWords) {
  for (const char32_t c : std::u32string_view(U" \t\n\r\v\f\u0085\u00a0\u1680\u2009\u2028\u3000")) {
    EXPECT_TRUE(IsWhiteSpace(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : std::u32string_view(U"a\u180e\u200b\u2060\ufeff\x1c")) {
    EXPECT_FALSE(IsWhiteSpace(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : std::u32string_view(U"a\u00e9\u4e00_5\u0301\u24b6\u200d\u203f")) {
    EXPECT_TRUE(IsWordCharacter(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : std::u32string_view(U" -.\u00bd\u2028\U0001F600")) {
    EXPECT_FALSE(IsWordCharacter(c)) << static_cast<uint32_t>(c);
  }
}

}  // namespace
}  // namespace extrospect
