#include "model/tokenizer/gguf_tokenizer.h"

#include <string>

#include "base/error.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

std::optional<int32_t> FindId(const GgufFile& file, const char* key) {
  const std::optional<int64_t> id = file.FindInt(key);
  if (!id.has_value()) return std::nullopt;
  if (*id < 0 || *id > INT32_MAX) {
    throw Error("cannot use the tokenizer of a model")
        .At(file.name() + ": " + key)
        .Expected("an id of the vocabulary")
        .Found(std::to_string(*id));
  }
  return static_cast<int32_t>(*id);
}

std::vector<TokenType> ReadTypes(const GgufFile& file) {
  std::vector<TokenType> types;
  const auto numbers = file.FindInts("tokenizer.ggml.token_type");
  if (!numbers.has_value()) return types;
  for (const int64_t number : *numbers) {
    const bool known = number >= 0 && number <= static_cast<int64_t>(TokenType::kByte);
    types.push_back(known ? static_cast<TokenType>(number) : TokenType::kUndefined);
  }
  return types;
}

std::vector<std::string> ReadStrings(const GgufFile& file, const char* key) {
  const std::vector<std::string_view> strings = file.GetStrings(key);
  return {strings.begin(), strings.end()};
}

}  // namespace

BpeVocabulary ReadBpeVocabulary(const GgufFile& file) {
  BpeVocabulary vocabulary;
  vocabulary.tokens = ReadStrings(file, "tokenizer.ggml.tokens");
  vocabulary.types = ReadTypes(file);
  vocabulary.merges = ReadStrings(file, "tokenizer.ggml.merges");
  vocabulary.pretokenizer = file.FindString("tokenizer.ggml.pre").value_or("");
  vocabulary.bos_id = FindId(file, "tokenizer.ggml.bos_token_id");
  vocabulary.eos_id = FindId(file, "tokenizer.ggml.eos_token_id");
  vocabulary.add_bos = file.FindBool("tokenizer.ggml.add_bos_token");
  return vocabulary;
}

SentencePieceVocabulary ReadSentencePieceVocabulary(const GgufFile& file) {
  SentencePieceVocabulary vocabulary;
  vocabulary.algorithm = SentencePieceVocabulary::Algorithm::kBpe;
  vocabulary.add_dummy_prefix = file.FindBool("tokenizer.ggml.add_space_prefix").value_or(true);
  vocabulary.remove_extra_whitespaces =
      file.FindBool("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  vocabulary.bos_id = FindId(file, "tokenizer.ggml.bos_token_id").value_or(1);
  vocabulary.eos_id = FindId(file, "tokenizer.ggml.eos_token_id").value_or(2);
  vocabulary.add_bos = file.FindBool("tokenizer.ggml.add_bos_token").value_or(true);

  const std::vector<std::string> tokens = ReadStrings(file, "tokenizer.ggml.tokens");
  const std::vector<float> scores = file.GetFloats("tokenizer.ggml.scores");
  const std::vector<TokenType> types = ReadTypes(file);
  if (scores.size() != tokens.size() || types.size() != tokens.size()) {
    throw Error("cannot use the tokenizer of a model")
        .At(file.name() + ": tokenizer.ggml.scores, tokenizer.ggml.token_type")
        .Expected(std::to_string(tokens.size()) + " of each, one for each token")
        .Found(std::to_string(scores.size()) + " and " + std::to_string(types.size()));
  }
  // The library wants exactly one unknown token; files mark none or several.
  const int32_t unknown = FindId(file, "tokenizer.ggml.unknown_token_id").value_or(0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    TokenType type = types[i] == TokenType::kUndefined ? TokenType::kNormal : types[i];
    if (type == TokenType::kUnknown) type = TokenType::kControl;
    if (i == static_cast<size_t>(unknown)) type = TokenType::kUnknown;
    vocabulary.pieces.push_back({tokens[i], scores[i], type});
    vocabulary.byte_fallback |= type == TokenType::kByte;
  }
  return vocabulary;
}

std::unique_ptr<Tokenizer> LoadTokenizerFromGguf(const GgufFile& file) {
  const std::string model = file.GetString("tokenizer.ggml.model");
  try {
    if (model == "gpt2") return MakeBpeTokenizer(ReadBpeVocabulary(file));
    if (model == "llama") return MakeSentencePieceTokenizer(ReadSentencePieceVocabulary(file));
  } catch (const Error& error) {
    throw Error("cannot use the tokenizer of a model").At(file.name()).Found(error.what());
  }
  throw Error("cannot use the tokenizer of a model")
      .At(file.name() + ": tokenizer.ggml.model")
      .Expected("\"gpt2\" (byte-level BPE) or \"llama\" (SentencePiece)")
      .Found(Quote(model))
      .Hint("use the model's Hugging Face directory");
}

}  // namespace extrospect
