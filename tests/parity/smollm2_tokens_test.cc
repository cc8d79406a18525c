// The default model's tokenizer against the reference (tools/fixtures/make_smollm2_tokens.py).
// EXTROSPECT_TEST_MODEL names the GGUF file; without it these tests are skipped.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "model/tokenizer/gguf_tokenizer.h"
#include "tests/cpu_time.h"
#include "tests/parity/tokenizer_fixtures.h"

namespace extrospect {
namespace {

class Smollm2TokensTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const model = std::getenv("EXTROSPECT_TEST_MODEL");
    if (model == nullptr) GTEST_SKIP() << "no model";
    tokenizer_ = LoadTokenizerFromGguf(GgufFile(std::filesystem::path(model)));
  }

  double Seconds(const std::string& text) const {
    return CpuSeconds([&] { tokenizer_->Encode(text, true); });
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(Smollm2TokensTest, EveryIdIsTheReference) {
  const std::vector<std::string> texts = TokenizerStrings();
  const std::vector<std::string> lines = Lines(kTokenizerFixtures / "smollm2.jsonl");
  ASSERT_GE(lines.size(), 2500u);
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto expected = nlohmann::json::parse(lines[i]);
    const auto ids = expected[0].get<std::vector<int32_t>>();
    const auto special = tokenizer_->Encode(texts[i], true);
    ASSERT_EQ(special.ids, ids) << "line " << i + 1;
    ASSERT_EQ(special.begin.size(), ids.size());
    const auto plain = tokenizer_->Encode(texts[i], false);
    ASSERT_EQ(plain.ids, expected[1].is_array() ? expected[1].get<std::vector<int32_t>>() : ids)
        << "line " << i + 1;
    // The vocabulary has no tokens for some bytes, which are lost.
    const std::string decoded = tokenizer_->Decode(special.ids, /*skip_special=*/false);
    const bool whole = decoded == ReplaceInvalidUtf8(texts[i]);
    const std::string seen =
        (whole ? CharacterStarts(texts[i], special.begin) : "") + "|" + decoded;
    ASSERT_EQ(ShortHash(seen), expected[2]) << "line " << i + 1 << ": " << seen;
  }
}

TEST_F(Smollm2TokensTest, TokensJoinedAreTheText) {
  for (const std::string& text : TokenizerStrings()) {
    const auto encoding = tokenizer_->Encode(text, true);
    std::string joined;
    StreamingDecoder streaming(*tokenizer_, /*skip_special=*/false);
    std::string streamed;
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      joined += tokenizer_->TokenBytes(encoding.ids[i]);
      const std::string emitted = streaming.Push(encoding.ids[i]);
      EXPECT_TRUE(IsValidUtf8(emitted));
      streamed += emitted;
    }
    streamed += streaming.Finish();
    ASSERT_EQ(tokenizer_->Decode(encoding.ids, /*skip_special=*/false), ReplaceInvalidUtf8(joined));
    ASSERT_EQ(streamed, ReplaceInvalidUtf8(joined));
  }
}

TEST_F(Smollm2TokensTest, BeginIsWhereTheBytesAre) {
  for (const std::string& text : TokenizerStrings()) {
    if (!IsValidUtf8(text)) continue;
    const auto encoding = tokenizer_->Encode(text, true);
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      const std::string bytes = tokenizer_->TokenBytes(encoding.ids[i]);
      ASSERT_EQ(text.substr(encoding.begin[i], bytes.size()), bytes);
    }
  }
}

TEST_F(Smollm2TokensTest, KnowsItsTokens) {
  EXPECT_EQ(tokenizer_->vocab_size(), 49152);
  EXPECT_EQ(tokenizer_->bos_id(), 1);
  EXPECT_EQ(tokenizer_->eos_id(), 2);
  EXPECT_FALSE(tokenizer_->add_bos());
  EXPECT_EQ(tokenizer_->FindToken("<|im_end|>"), 2);
  EXPECT_TRUE(tokenizer_->is_special(2));
  EXPECT_FALSE(tokenizer_->is_special(100));
  const auto question = tokenizer_->FindToken(" ?");
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(tokenizer_->TokenBytes(*question), " ?");
  EXPECT_EQ(tokenizer_->Encode(" ?", false).ids, std::vector<int32_t>{*question});
  EXPECT_FALSE(tokenizer_->FindToken("no such token").has_value());
  EXPECT_EQ(tokenizer_->Decode(std::vector<int32_t>{1, 2}, true), "");
  EXPECT_EQ(tokenizer_->Sha256().size(), 64u);
}

// Neither a word of a megabyte nor a megabyte of anything is slow. The limits are loose; a
// quadratic algorithm would take minutes.
TEST_F(Smollm2TokensTest, LongTextTakesLinearTime) {
  constexpr size_t kMegabyte = 1'000'000;
  RandomStream random(1, "long word");
  std::string word(kMegabyte, ' ');
  for (char& letter : word) letter = static_cast<char>('a' + random.Below(26));
  EXPECT_LT(Seconds(word), 2.0);
  for (const char* unit :
       {"a", " ", "\n", " \n", "\t ", "1", "'", "A", "\u0301", "一", "'s", "\xFF"}) {
    std::string text;
    while (text.size() < kMegabyte) text += unit;
    EXPECT_LT(Seconds(text + "x"), 2.0) << unit;
  }
}

}  // namespace
}  // namespace extrospect
