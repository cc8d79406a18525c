#include "model/gguf_tokenizer.h"

#include <string>

#include "base/error.h"
#include "model/quote.h"

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

std::unique_ptr<Tokenizer> LoadTokenizerFromGguf(const GgufFile& file) {
  const std::string model = file.GetString("tokenizer.ggml.model");
  if (model == "gpt2") {
    try {
      return MakeBpeTokenizer(ReadBpeVocabulary(file));
    } catch (Error& error) {
      throw Error("cannot use the tokenizer of a model").At(file.name()).Found(error.what());
    }
  }
  throw Error("cannot use the tokenizer of a model")
      .At(file.name() + ": tokenizer.ggml.model")
      .Expected("\"gpt2\"")
      .Found(Quote(model));
}

}  // namespace extrospect
