// Every family's tokenizer against its reference (tools/fixtures/make_tokenizers.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/parity/tokenizer_fixtures.h"

namespace extrospect {
namespace {

// Compares with digests.txt and ids.json of a folder. The reference of a SentencePiece model knows
// no special tokens in text, and (`decodes` off) has its own sign for unknown characters.
void ExpectTheReference(const std::filesystem::path& directory, bool is_sentencepiece,
                        bool decodes) {
  const auto tokenizer = LoadTokenizerFromDirectory(directory);
  const std::vector<std::string> texts = TokenizerStrings();
  ASSERT_GE(texts.size(), 10'000u);
  const auto ids = nlohmann::json::parse(ReadFile(directory / "ids.json"));
  std::istringstream digests(ReadFile(directory / "digests.txt"));

  int failures = 0;
  for (size_t i = 0; i < texts.size() && failures < 5; ++i) {
    const auto special = tokenizer->Encode(texts[i], true);
    const auto plain = tokenizer->Encode(texts[i], false);
    std::string seen;
    if (is_sentencepiece) {
      seen = "|" + Join(plain.ids) + "||" + (decodes ? tokenizer->Decode(plain.ids, false) : "");
    } else {
      seen = Join(special.ids) + "|" + Join(plain.ids) + "|" +
             tokenizer->Decode(special.ids, false) + "|" + tokenizer->Decode(special.ids, true);
    }
    std::string expected;
    digests >> expected;
    const auto& first = is_sentencepiece ? plain : special;
    if (i < ids.size()) {
      EXPECT_EQ(first.ids, ids[i].get<std::vector<int32_t>>()) << "line " << i + 1;
    }
    EXPECT_EQ(ShortHash(seen).substr(0, 6), expected) << "line " << i + 1 << ": " << seen;
    failures += ShortHash(seen).substr(0, 6) != expected;

    ASSERT_EQ(special.begin.size(), special.ids.size());
    EXPECT_TRUE(std::is_sorted(special.begin.begin(), special.begin.end())) << "line " << i + 1;
    EXPECT_TRUE(special.begin.empty() || special.begin.back() <= texts[i].size());
  }
}

class TokenizerParityTest : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path directory() const { return kTokenizerFixtures / GetParam(); }
};

TEST_P(TokenizerParityTest, EveryTextIsTheReference) {
  ExpectTheReference(directory(), GetParam().starts_with("spm-"), GetParam() != "spm-unigram");
}

// What a token begins with is what stands at its offset, unless normalisation has been at it.
TEST_P(TokenizerParityTest, BeginIsWhereTheBytesAre) {
  const std::string& name = GetParam();
  if (name == "qwen" || name == "olmo1" || name.starts_with("odd") || name == "spm-unigram") return;
  const auto tokenizer = LoadTokenizerFromDirectory(directory());
  for (const std::string& text : TokenizerStrings()) {
    if (!IsValidUtf8(text) || text.find("\u2581") != std::string::npos) continue;
    const auto encoding = tokenizer->Encode(text, true);
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      if (tokenizer->is_special(encoding.ids[i])) continue;
      std::string bytes = tokenizer->TokenBytes(encoding.ids[i]);
      // A space that the tokenizer put in front has no place in the text.
      const auto stands = [&] { return text.compare(encoding.begin[i], bytes.size(), bytes) == 0; };
      if (!stands() && bytes.starts_with(' ')) bytes.erase(0, 1);
      ASSERT_TRUE(stands()) << text << ": token " << i << " at " << encoding.begin[i];
    }
  }
}

TEST_P(TokenizerParityTest, StreamedIsDecoded) {
  const auto tokenizer = LoadTokenizerFromDirectory(directory());
  for (const std::string& text : TokenizerStrings()) {
    const auto encoding = tokenizer->Encode(text, true);
    for (const bool skip_special : {false, true}) {
      StreamingDecoder decoder(*tokenizer, skip_special);
      std::string streamed;
      for (const int32_t id : encoding.ids) {
        const std::string emitted = decoder.Push(id);
        ASSERT_TRUE(IsValidUtf8(emitted));
        streamed += emitted;
      }
      streamed += decoder.Finish();
      ASSERT_EQ(streamed, tokenizer->Decode(encoding.ids, skip_special)) << text;
    }
  }
}

TEST_P(TokenizerParityTest, FindsItsTokens) {
  const auto tokenizer = LoadTokenizerFromDirectory(directory());
  for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
    const std::string bytes = tokenizer->TokenBytes(id);
    const auto found = tokenizer->FindToken(bytes);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(tokenizer->TokenBytes(*found), bytes);
  }
  EXPECT_THROW(tokenizer->TokenBytes(-1), Error);
  EXPECT_THROW(tokenizer->TokenBytes(tokenizer->vocab_size()), Error);
  EXPECT_THROW(tokenizer->Decode(std::vector<int32_t>{tokenizer->vocab_size()}, true), Error);
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerParityTest,
                         testing::Values("llama2", "llama3", "mistral-v3", "mistral-tekken", "qwen",
                                         "gemma", "olmo1", "olmo2", "odd-bytes", "odd-characters",
                                         "spm-llama", "spm-gemma", "spm-unigram"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

// Vocabularies that are too large for the repository (tools/fixtures/make_mistral_tokens.py).
TEST(TokenizerParity, RealVocabulariesAreTheReference) {
  const char* const folder = std::getenv("EXTROSPECT_TEST_TOKENIZERS");
  if (folder == nullptr) GTEST_SKIP() << "no vocabularies";
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path());
    ExpectTheReference(entry.path(), entry.path().filename().string().starts_with("spm-"),
                       /*decodes=*/true);
    ++found;
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace extrospect
