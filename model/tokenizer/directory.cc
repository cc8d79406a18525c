// The tokenizer of a Hugging Face directory: which files it takes, and what each contributes.
#include <utility>

#include "base/bounded_json.h"
#include "base/file.h"
#include "model/tokenizer/bpe_tokenizer.h"
#include "model/tokenizer/json_node.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/tokenizer_json.h"

namespace extrospect {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 28;

// What `tokenizer_config.json` says; empty without the file.
struct Config {
  std::string bos, eos;  // texts of the tokens; empty where there is none
  std::optional<bool> add_bos;
  std::vector<AddedToken> added_tokens;
};

// A token is given as its text or as an object with the text and its properties.
std::string TokenText(const JsonNode& config, const char* key) {
  if (!config.Has(key)) return "";
  const JsonNode token = config.Get(key);
  return token.value().is_object() ? token.Get("content").String() : token.String();
}

std::vector<AddedToken> ReadAddedTokens(const JsonNode& table) {
  std::vector<AddedToken> tokens;
  for (const auto& [id, node] : table.Members()) {
    AddedToken token;
    const bool is_number =
        !id.empty() && id.size() <= 8 && id.find_first_not_of("0123456789") == std::string::npos;
    if (!is_number) throw node.Wrong("an id", id);
    token.id = std::stoi(id);
    token.content = node.Get("content").String();
    token.special = node.BoolOr("special", false);
    token.single_word = node.BoolOr("single_word", false);
    token.lstrip = node.BoolOr("lstrip", false);
    token.rstrip = node.BoolOr("rstrip", false);
    if (!token.content.empty()) tokens.push_back(std::move(token));
  }
  return tokens;
}

Config ReadConfig(const std::filesystem::path& path) {
  Config config;
  if (!std::filesystem::exists(path)) return config;
  const std::string name = path.string();
  const auto document = ParseBoundedJson(ReadFile(path, kMaxFileBytes), name);
  const JsonNode root(&document, "", &name);
  root.Object();
  config.bos = TokenText(root, "bos_token");
  config.eos = TokenText(root, "eos_token");
  if (root.Has("add_bos_token")) config.add_bos = root.Get("add_bos_token").Bool();
  if (root.Has("added_tokens_decoder")) {
    config.added_tokens = ReadAddedTokens(root.Get("added_tokens_decoder"));
  }
  return config;
}

// The id of a token that the configuration names.
std::optional<int32_t> FindId(const BpePipeline& pipeline, const std::string& text) {
  if (text.empty()) return std::nullopt;
  for (const AddedToken& token : pipeline.added_tokens) {
    if (token.content == text) return token.id;
  }
  for (const auto& [token, id] : pipeline.rules.vocabulary) {
    if (token == text) return id;
  }
  return std::nullopt;
}

std::unique_ptr<Tokenizer> LoadJson(const std::filesystem::path& path, const Config& config) {
  BpePipeline pipeline = ParseTokenizerJson(ReadFile(path, kMaxFileBytes), path.string());
  if (!pipeline.bos_id.has_value()) pipeline.bos_id = FindId(pipeline, config.bos);
  pipeline.eos_id = FindId(pipeline, config.eos);
  try {
    return MakeBpeTokenizer(std::move(pipeline));
  } catch (const Error& error) {
    throw Error("cannot use the tokenizer").At(path.string()).Found(error.what());
  }
}

std::unique_ptr<Tokenizer> LoadSentencePiece(const std::filesystem::path& path,
                                             const Config& config) {
  try {
    SentencePieceVocabulary vocabulary = ParseSentencePieceModel(ReadFile(path, kMaxFileBytes));
    const auto find = [&](const std::string& text, std::optional<int32_t>* id) {
      for (size_t i = 0; !text.empty() && i < vocabulary.pieces.size(); ++i) {
        if (vocabulary.pieces[i].text == text) *id = static_cast<int32_t>(i);
      }
    };
    find(config.bos, &vocabulary.bos_id);
    find(config.eos, &vocabulary.eos_id);
    // The families with such files begin every text with a token, unless told otherwise.
    vocabulary.add_bos = config.add_bos.value_or(true);
    // Of tokens that the model itself has, only one thing is taken over: a piece that is found in
    // any text becomes one that only rendered chats bring, if the configuration calls it special.
    std::vector<AddedToken> added;
    for (const AddedToken& token : config.added_tokens) {
      const size_t id = static_cast<size_t>(token.id);
      if (id >= vocabulary.pieces.size() || vocabulary.pieces[id].text != token.content) {
        added.push_back(token);
      } else if (token.special && vocabulary.pieces[id].type == TokenType::kUserDefined) {
        vocabulary.pieces[id].type = TokenType::kControl;
      }
    }
    return MakeSentencePieceTokenizer(std::move(vocabulary), added);
  } catch (const Error& error) {
    throw Error("cannot use the tokenizer").At(path.string()).Found(error.what());
  }
}

}  // namespace

std::unique_ptr<Tokenizer> LoadTokenizerFromDirectory(const std::filesystem::path& directory) {
  const Config config = ReadConfig(directory / "tokenizer_config.json");
  const std::filesystem::path fast = directory / "tokenizer.json";
  if (std::filesystem::exists(fast)) return LoadJson(fast, config);
  const std::filesystem::path slow = directory / "tokenizer.model";
  if (std::filesystem::exists(slow)) return LoadSentencePiece(slow, config);
  throw Error("no tokenizer found")
      .At(directory.string())
      .Expected("tokenizer.json or tokenizer.model")
      .Hint("download the model's tokenizer files into the directory, too");
}

}  // namespace extrospect
