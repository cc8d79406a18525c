#include "model/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/tokenizer/bpe_tokenizer.h"
#include "model/tokenizer/byte_level.h"
#include "model/tokenizer/gguf_tokenizer.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"
#include "tests/unit/model/error_message.h"
#include "tests/unit/model/gguf_builder.h"

namespace extrospect {
namespace {

using nlohmann::json;
using IdList = std::vector<int32_t>;

// Byte b has the id b; then come "ab" 256, "<|end|>" 257 (special), "   " 258 (not special).
BpeVocabulary Bytes() {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back(ByteLevelToken(std::string(1, static_cast<char>(byte))));
  }
  vocabulary.types.assign(256, TokenType::kNormal);
  const auto add = [&](const char* token, TokenType type) {
    vocabulary.tokens.push_back(token);
    vocabulary.types.push_back(type);
  };
  add("ab", TokenType::kNormal);
  add("<|end|>", TokenType::kControl);
  add("   ", TokenType::kUserDefined);
  vocabulary.merges = {"a b"};
  vocabulary.pretokenizer = "gpt-2";
  vocabulary.eos_id = 257;
  return vocabulary;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = testing::TempDir() + "tokenizer_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  void Write(const char* name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(Tokenizer, SpecialTokensAreParsedOnDemand) {
  const auto tokenizer = MakeBpeTokenizer(Bytes());
  EXPECT_EQ(tokenizer->Encode("ab<|end|>", true).ids, (IdList{256, 257}));
  EXPECT_EQ(tokenizer->Encode("<|end|>", false).ids, (IdList{'<', '|', 'e', 'n', 'd', '|', '>'}));
  EXPECT_EQ(tokenizer->Encode("a   b", false).ids, (IdList{'a', 258, 'b'}));
  EXPECT_EQ(tokenizer->Encode("ab<|end|>é", true).begin, (std::vector<uint32_t>{0, 2, 9, 10}));
  EXPECT_TRUE(tokenizer->Encode("", true).ids.empty());
}

TEST(Tokenizer, InvalidBytesAreReplacedWhereTheyStand) {
  const auto tokenizer = MakeBpeTokenizer(Bytes());
  const auto encoding = tokenizer->Encode("a\xE2\x82z", true);
  EXPECT_EQ(encoding.ids, (IdList{'a', 0xEF, 0xBF, 0xBD, 'z'}));
  EXPECT_EQ(encoding.begin, (std::vector<uint32_t>{0, 1, 1, 1, 3}));
}

TEST(Tokenizer, DecodesToText) {
  const auto tokenizer = MakeBpeTokenizer(Bytes());
  EXPECT_EQ(tokenizer->Decode(IdList{256, 257, ' '}, false), "ab<|end|> ");
  EXPECT_EQ(tokenizer->Decode(IdList{256, 257, ' '}, true), "ab ");
  EXPECT_EQ(tokenizer->Decode(IdList{0xE2, 0x82}, true), "\uFFFD");
  EXPECT_EQ(tokenizer->TokenBytes(0xE2), "\xE2");
  EXPECT_THROW(tokenizer->Decode(IdList{259}, true), Error);
  EXPECT_FALSE(tokenizer->is_special(-1));
  EXPECT_FALSE(tokenizer->is_special(1'000'000));
}

TEST(Tokenizer, HashesWhatDecidesTheIds) {
  const std::string hash = MakeBpeTokenizer(Bytes())->Sha256();
  EXPECT_EQ(MakeBpeTokenizer(Bytes())->Sha256(), hash);
  std::vector<BpeVocabulary> others(5, Bytes());
  others[0].merges.clear();
  others[1].pretokenizer = "llama-bpe";
  others[2].types[257] = TokenType::kUserDefined;
  others[3].tokens[258] = "    ";
  others[4].bos_id = 257;
  others[4].add_bos = true;
  for (const BpeVocabulary& other : others) EXPECT_NE(MakeBpeTokenizer(other)->Sha256(), hash);
  BpeVocabulary same = Bytes();
  same.eos_id.reset();
  EXPECT_EQ(MakeBpeTokenizer(same)->Sha256(), hash);
}

TEST(StreamingDecoder, NeverEmitsAPartOfACharacter) {
  const auto tokenizer = MakeBpeTokenizer(Bytes());
  StreamingDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.Push('a'), "a");
  EXPECT_EQ(decoder.Push(0xF0), "");
  EXPECT_EQ(decoder.Push(0x9F), "");
  EXPECT_EQ(decoder.Push(257), "");  // special: neither shown nor in the way
  EXPECT_EQ(decoder.Push(0x98), "");
  EXPECT_EQ(decoder.Push(0x80), "\U0001F600");
  EXPECT_EQ(decoder.Push(0xC3), "");
  EXPECT_EQ(decoder.Push('b'), "\uFFFDb");
  EXPECT_EQ(decoder.Push(0x80), "\uFFFD");
  EXPECT_EQ(decoder.Push(0xE2), "");
  EXPECT_EQ(decoder.Finish(), "\uFFFD");
  EXPECT_EQ(decoder.Finish(), "");
  EXPECT_EQ(decoder.Push('c'), "c");
  EXPECT_THROW(decoder.Push(9999), Error);
}

TEST(StreamingDecoder, DropsTheSpaceInFront) {
  SentencePieceVocabulary vocabulary;
  vocabulary.algorithm = SentencePieceVocabulary::Algorithm::kBpe;
  vocabulary.remove_extra_whitespaces = false;
  vocabulary.pieces = {
      {"<unk>", 0, TokenType::kUnknown}, {"\u2581", -1}, {"a", -2}, {"\u2581a", -3}};
  const auto tokenizer = MakeSentencePieceTokenizer(vocabulary);
  const auto ids = tokenizer->Encode("a a", true).ids;
  EXPECT_EQ(ids, (IdList{3, 3}));
  EXPECT_EQ(tokenizer->Decode(ids, true), "a a");
  StreamingDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.Push(3), "a");
  EXPECT_EQ(decoder.Push(3), " a");
  EXPECT_EQ(decoder.Finish(), "");
  EXPECT_EQ(decoder.Push(3), "a");
}

TEST(BpeVocabulary, DamageIsNamed) {
  BpeVocabulary vocabulary = Bytes();
  vocabulary.types.pop_back();
  EXPECT_PRED2(Contains, MessageOf([&] { MakeBpeTokenizer(vocabulary); }), "types");
  vocabulary = Bytes();
  vocabulary.merges = {"a"};
  EXPECT_PRED2(Contains, MessageOf([&] { MakeBpeTokenizer(vocabulary); }), "merge 0");
  vocabulary.merges = {"a no"};
  EXPECT_PRED2(Contains, MessageOf([&] { MakeBpeTokenizer(vocabulary); }), "\"no\"");
  vocabulary = Bytes();
  vocabulary.bos_id = 300;
  EXPECT_PRED2(Contains, MessageOf([&] { MakeBpeTokenizer(vocabulary); }), "300");
  vocabulary = Bytes();
  vocabulary.pretokenizer = "none such";
  EXPECT_PRED2(Contains, MessageOf([&] { MakeBpeTokenizer(vocabulary); }), "none such");
}

// ---- GGUF ----

void AddStrings(GgufBuilder* file, const char* key, const std::vector<std::string>& strings) {
  file->Array(key, GgufType::kString, strings.size());
  for (const std::string& text : strings) file->Text(text);
}

template <typename T>
void AddNumbers(GgufBuilder* file, const char* key, GgufType type, const std::vector<T>& numbers) {
  file->Array(key, type, numbers.size());
  for (const T number : numbers) file->Put(number);
}

std::unique_ptr<Tokenizer> Load(const GgufBuilder& file) {
  return LoadTokenizerFromGguf(GgufFile(std::as_bytes(std::span(file.bytes)), "test.gguf"));
}

TEST(GgufTokenizer, ReadsSentencePieceVocabularies) {
  GgufBuilder file;
  file.Header(0, 6).Value("tokenizer.ggml.model", "llama");
  AddStrings(&file, "tokenizer.ggml.tokens", {"<s>", "<unk>", "\u2581", "a", "\u2581a", "aa"});
  AddNumbers<float>(&file, "tokenizer.ggml.scores", GgufType::kFloat32, {0, 0, -3, -4, -1, -2});
  AddNumbers<int32_t>(&file, "tokenizer.ggml.token_type", GgufType::kInt32, {3, 2, 1, 1, 1, 1});
  file.Value("tokenizer.ggml.bos_token_id", GgufType::kUint32, uint32_t{0});
  file.Value("tokenizer.ggml.unknown_token_id", GgufType::kUint32, uint32_t{1});
  const auto tokenizer = Load(file);
  EXPECT_EQ(tokenizer->bos_id(), 0);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_TRUE(tokenizer->add_bos());
  // Each stretch of text gets its space in front.
  EXPECT_EQ(tokenizer->Encode("aaa<s>a", true).ids, (IdList{4, 5, 0, 4}));
  EXPECT_EQ(tokenizer->Encode("aaa<s>a", true).begin, (std::vector<uint32_t>{0, 1, 3, 6}));
  EXPECT_EQ(tokenizer->Encode("<s>", false).ids, (IdList{2, 1}));
  EXPECT_EQ(tokenizer->TokenBytes(4), " a");
  EXPECT_EQ(tokenizer->Decode(IdList{0, 4, 5}, true), "aaa");
}

TEST(GgufTokenizer, DamageIsNamedWithTheFile) {
  GgufBuilder other;
  other.Header(0, 1).Value("tokenizer.ggml.model", "t5");
  EXPECT_PRED2(Contains, MessageOf([&] { Load(other); }), "\"t5\"");
  GgufBuilder bare;
  bare.Header(0, 1).Value("tokenizer.ggml.model", "gpt2");
  EXPECT_PRED2(Contains, MessageOf([&] { Load(bare); }), "test.gguf");
  EXPECT_PRED2(Contains, MessageOf([&] { Load(bare); }), "tokenizer.ggml.tokens");
  GgufBuilder uneven;
  uneven.Header(0, 4).Value("tokenizer.ggml.model", "llama");
  AddStrings(&uneven, "tokenizer.ggml.tokens", {"<unk>", "a"});
  AddNumbers<float>(&uneven, "tokenizer.ggml.scores", GgufType::kFloat32, {0});
  AddNumbers<int32_t>(&uneven, "tokenizer.ggml.token_type", GgufType::kInt32, {2, 1});
  EXPECT_PRED2(Contains, MessageOf([&] { Load(uneven); }), "tokenizer.ggml.scores");
  GgufBuilder negative;
  negative.Header(0, 6).Value("tokenizer.ggml.model", "gpt2").Value("tokenizer.ggml.pre", "gpt-2");
  AddStrings(&negative, "tokenizer.ggml.tokens", {"a"});
  AddNumbers<int32_t>(&negative, "tokenizer.ggml.token_type", GgufType::kInt32, {1});
  AddStrings(&negative, "tokenizer.ggml.merges", {});
  negative.Value("tokenizer.ggml.bos_token_id", GgufType::kInt32, int32_t{-1});
  EXPECT_PRED2(Contains, MessageOf([&] { Load(negative); }), "bos_token_id");
}

// ---- SentencePiece ----

TEST(SentencePiece, ModelsSurviveWritingAndReading) {
  SentencePieceVocabulary vocabulary;
  vocabulary.pieces = {
      {"<unk>", 0, TokenType::kUnknown}, {"\u2581a", -1.5f}, {"<0x0A>", 0, TokenType::kByte}};
  vocabulary.algorithm = SentencePieceVocabulary::Algorithm::kBpe;
  vocabulary.add_dummy_prefix = false;
  vocabulary.byte_fallback = true;
  vocabulary.bos_id = 200;
  const auto read = ParseSentencePieceModel(SerializeSentencePieceModel(vocabulary));
  ASSERT_EQ(read.pieces.size(), 3u);
  EXPECT_EQ(read.pieces[1].text, "\u2581a");
  EXPECT_EQ(read.pieces[1].score, -1.5f);
  EXPECT_EQ(read.pieces[2].type, TokenType::kByte);
  EXPECT_EQ(read.algorithm, vocabulary.algorithm);
  EXPECT_FALSE(read.add_dummy_prefix);
  EXPECT_TRUE(read.remove_extra_whitespaces);
  EXPECT_TRUE(read.byte_fallback);
  EXPECT_EQ(read.bos_id, 200);
  EXPECT_FALSE(read.eos_id.has_value());
}

TEST(SentencePiece, DamagedModelsAreErrors) {
  SentencePieceVocabulary vocabulary;
  vocabulary.pieces = {{"<unk>", 0, TokenType::kUnknown}, {"a", -1}};
  const std::string bytes = SerializeSentencePieceModel(vocabulary);
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string cut = bytes.substr(0, n);
    // Cut between two fields it is another, shorter model.
    try {
      ParseSentencePieceModel(cut);
    } catch (const Error&) {
    }
  }
  for (const char* bad : {"", "\x0a", "\x0a\x05", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                          "\x0b", "\x08\x01", "\x0a\x02\x18\x09", "\x12\x02\x18\x07"}) {
    EXPECT_THROW(ParseSentencePieceModel(bad), Error) << bad;
  }
  // A normalisation table.
  EXPECT_PRED2(Contains, MessageOf([&] { ParseSentencePieceModel(bytes + "\x1a\x03\x12\x01x"); }),
               "identity");
}

TEST(SentencePiece, UnreachablePiecesAreMended) {
  SentencePieceVocabulary vocabulary;
  vocabulary.algorithm = SentencePieceVocabulary::Algorithm::kBpe;
  vocabulary.add_dummy_prefix = false;
  vocabulary.pieces = {
      {"<unk>", 0, TokenType::kUnknown}, {"a", -1}, {"", -2}, {"a", -3}, {"\xFF", -4}};
  const auto tokenizer = MakeSentencePieceTokenizer(vocabulary);
  EXPECT_EQ(tokenizer->vocab_size(), 5);
  EXPECT_EQ(tokenizer->Encode("aa", true).ids, (IdList{1, 1}));
  vocabulary.pieces[0].type = TokenType::kNormal;
  EXPECT_THROW(MakeSentencePieceTokenizer(vocabulary), Error);
}

// ---- Directories ----

json SmallTokenizerJson() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 3, "content": "<s>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": false, "special": true}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s"}, "behavior": "Isolated", "invert": false},
    "post_processor": {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}}]},
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
              "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

TEST(TokenizerDirectory, ReadsTokenizerJson) {
  const TemporaryDirectory directory;
  directory.Write("tokenizer.json", SmallTokenizerJson().dump());
  auto tokenizer = LoadTokenizerFromDirectory(directory.path());
  EXPECT_EQ(tokenizer->Encode("ab<s>ba", true).ids, (IdList{2, 3, 1, 0}));
  EXPECT_EQ(tokenizer->bos_id(), 3);
  EXPECT_TRUE(tokenizer->add_bos());
  EXPECT_FALSE(tokenizer->eos_id().has_value());
  EXPECT_EQ(tokenizer->vocab_size(), 4);

  json pairs = SmallTokenizerJson();
  pairs["model"]["merges"] = json::parse(R"([["a", "b"]])");
  pairs["post_processor"] = nullptr;
  directory.Write("tokenizer.json", pairs.dump());
  directory.Write("tokenizer_config.json",
                  R"({"bos_token": "<s>", "eos_token": {"content": "b"}})");
  tokenizer = LoadTokenizerFromDirectory(directory.path());
  EXPECT_EQ(tokenizer->Encode("ab", true).ids, IdList{2});
  EXPECT_EQ(tokenizer->bos_id(), 3);
  EXPECT_EQ(tokenizer->eos_id(), 1);
  EXPECT_FALSE(tokenizer->add_bos());
}

TEST(TokenizerDirectory, MistakesAreNamedByTheirPlace) {
  struct Case {
    const char* pointer;
    const char* value;
    const char* place;  // what the message has to contain
  };
  const std::vector<Case> cases = {
      {"/model", "null", "model"},
      {"/model/type", "\"Unigram\"", "\"Unigram\""},
      {"/model/vocab", "[]", "model.vocab"},
      {"/model/vocab/a", "-1", "model.vocab.a"},
      {"/model/vocab/a", "1", "model.vocab"},
      {"/model/vocab/a", "\"0\"", "model.vocab.a"},
      {"/model/vocab/a", "99999999999", "model.vocab.a"},
      {"/model/merges", "{}", "model.merges"},
      {"/model/merges/0", "\"ab\"", "model.merges[0]"},
      {"/model/merges/0", "\"a b c\"", "model.merges[0]"},
      {"/model/merges/0", "[\"a\"]", "model.merges[0]"},
      {"/model/merges/0", "[\"a\", 1]", "model.merges[0][1]"},
      {"/model/merges/0", "\"a x\"", "\"x\""},
      {"/model/dropout", "0.1", "model.dropout"},
      {"/model/end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix"},
      {"/model/byte_fallback", "1", "model.byte_fallback"},
      {"/model/unk_token", "\"<unk>\"", "<unk>"},
      {"/added_tokens", "{}", "added_tokens"},
      {"/added_tokens/0/id", "7", "added_tokens[0].id"},
      {"/added_tokens/0/content", "null", "added_tokens[0].content"},
      {"/added_tokens/0/special", "\"yes\"", "added_tokens[0].special"},
      {"/normalizer/type", "\"BertNormalizer\"", "normalizer.type"},
      {"/normalizer", "[]", "normalizer"},
      {"/pre_tokenizer/type", "\"Whitespace\"", "pre_tokenizer.type"},
      {"/pre_tokenizer/pattern/Regex", "\"(\"", "pre_tokenizer.pattern"},
      {"/pre_tokenizer/pattern", "{}", "pre_tokenizer.pattern"},
      {"/pre_tokenizer/behavior", "\"Sometimes\"", "pre_tokenizer.behavior"},
      {"/decoder/type", "\"CTC\"", "decoder.type"},
      {"/decoder", "{\"type\": \"Strip\", \"content\": \"ab\", \"start\": 1, \"stop\": 0}",
       "decoder.content"},
      {"/decoder", "{}", "decoder.type"},
      {"/post_processor/processors/1/special_tokens", "{}", "special_tokens"},
  };
  const TemporaryDirectory directory;
  for (const Case& c : cases) {
    json document = SmallTokenizerJson();
    document[json::json_pointer(c.pointer)] = json::parse(c.value);
    directory.Write("tokenizer.json", document.dump());
    const std::string message = MessageOf([&] { LoadTokenizerFromDirectory(directory.path()); });
    EXPECT_PRED2(Contains, message, "tokenizer.json") << c.pointer;
    EXPECT_PRED2(Contains, message, c.place) << c.pointer;
  }
  for (const char* text : {"", "{", "[]", "{}", "\"\xFF\"", "nul"}) {
    directory.Write("tokenizer.json", text);
    EXPECT_PRED2(Contains, MessageOf([&] { LoadTokenizerFromDirectory(directory.path()); }),
                 "tokenizer.json");
  }
}

TEST(TokenizerDirectory, DeepNestingIsRefused) {
  const TemporaryDirectory directory;
  json document = SmallTokenizerJson();
  json nested = {{"type", "NFC"}};
  for (int i = 0; i < 100; ++i) {
    nested = {{"type", "Sequence"}, {"normalizers", json::array({nested})}};
  }
  document["normalizer"] = nested;
  directory.Write("tokenizer.json", document.dump());
  const auto message = [&] {
    return MessageOf([&] { LoadTokenizerFromDirectory(directory.path()); });
  };
  EXPECT_PRED2(Contains, message(), "64 levels");
  directory.Write("tokenizer.json", std::string(1'000'000, '['));
  EXPECT_PRED2(Contains, message(), "64 levels");
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  directory.Write("tokenizer.json", R"({"model": {"dropout": )" + deep + "}}");
  EXPECT_PRED2(Contains, message(), "64 levels");
  directory.Write("tokenizer.json", SmallTokenizerJson().dump());
  directory.Write("tokenizer_config.json", R"({"bos_token": )" + deep + "}");
  EXPECT_PRED2(Contains, message(), "64 levels");
}

TEST(TokenizerDirectory, RulesThatMakeTooMuchOfATokenAreRefused) {
  const TemporaryDirectory directory;
  const json replace = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}};
  const json steps = json::array({replace, replace, replace});
  const auto message_of = [&](const json& document) {
    directory.Write("tokenizer.json", document.dump());
    return MessageOf([&] { LoadTokenizerFromDirectory(directory.path()); });
  };
  json document = SmallTokenizerJson();
  document["decoder"] = {{"type", "Sequence"}, {"decoders", steps}};
  EXPECT_PRED2(Contains, message_of(document), "at most 65536 bytes");
  document = SmallTokenizerJson();
  document["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  document["added_tokens"].push_back({{"id", 4}, {"content", "aa"}, {"normalized", true}});
  EXPECT_PRED2(Contains, message_of(document), "at most 65536 bytes");
  // Each token within bounds, all together not.
  document = SmallTokenizerJson();
  document["decoder"] = replace;
  document.erase("added_tokens");
  document.erase("post_processor");
  for (int i = 3; i < 5000; ++i) {
    document["model"]["vocab"][std::string(50, 'a') + std::to_string(i)] = i;
  }
  EXPECT_PRED2(Contains, message_of(document), "at most 128 MiB");
}

TEST(TokenizerDirectory, ReadsSentencePieceModelsAndTheirConfiguration) {
  SentencePieceVocabulary vocabulary;
  vocabulary.algorithm = SentencePieceVocabulary::Algorithm::kBpe;
  vocabulary.add_dummy_prefix = false;
  vocabulary.remove_extra_whitespaces = false;
  vocabulary.pieces = {{"<unk>", 0, TokenType::kUnknown},
                       {"<s>", 0, TokenType::kControl},
                       {"</s>", 0, TokenType::kControl},
                       {"<turn>", 0, TokenType::kUserDefined},
                       {"a", -1}};
  vocabulary.bos_id = 1;
  vocabulary.eos_id = 2;
  const TemporaryDirectory directory;
  directory.Write("tokenizer.model", SerializeSentencePieceModel(vocabulary));
  auto tokenizer = LoadTokenizerFromDirectory(directory.path());
  EXPECT_TRUE(tokenizer->add_bos());
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->Encode("a<turn>a<s>", true).ids, (IdList{4, 3, 4, 1}));
  EXPECT_EQ(tokenizer->Encode("a<turn>", false).ids, (IdList{4, 3}));

  directory.Write("tokenizer_config.json", R"({"add_bos_token": false, "eos_token": "<end>",
      "added_tokens_decoder": {"1": {"content": "<s>", "special": true},
                               "3": {"content": "<turn>", "special": true},
                               "5": {"content": "<end>", "special": true, "lstrip": true}}})");
  tokenizer = LoadTokenizerFromDirectory(directory.path());
  EXPECT_FALSE(tokenizer->add_bos());
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  EXPECT_EQ(tokenizer->Encode("a <end>a", true).ids, (IdList{4, 5, 4}));
  EXPECT_NE(tokenizer->Encode("<turn>", false).ids, IdList{3});
  EXPECT_EQ(tokenizer->Encode("<turn>", true).ids, IdList{3});

  directory.Write("tokenizer_config.json",
                  R"({"added_tokens_decoder": {"99999999": {"content": "<x>"}}})");
  EXPECT_THROW(LoadTokenizerFromDirectory(directory.path()), Error);
  directory.Write("tokenizer_config.json",
                  R"({"added_tokens_decoder": {"x": {"content": "<x>"}}})");
  EXPECT_PRED2(Contains, MessageOf([&] { LoadTokenizerFromDirectory(directory.path()); }),
               "added_tokens_decoder");
}

TEST(TokenizerDirectory, WithoutFilesIsAnError) {
  const TemporaryDirectory directory;
  EXPECT_PRED2(Contains, MessageOf([&] { LoadTokenizerFromDirectory(directory.path()); }),
               "tokenizer.json or tokenizer.model");
}

}  // namespace
}  // namespace extrospect
