// Whole models from directories, and the commands that look at them.
#include "model/model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "model/command.h"
#include "model/describe.h"
#include "tests/tokenizer_json.h"
#include "tests/unit/model/error_message.h"

namespace extrospect {
namespace {

using nlohmann::json;

const std::filesystem::path kQwen = "tests/parity/fixtures/families/qwen3";
constexpr char kTemplate[] =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

// Letters are their own tokens: "a" is 0, … "z" is 25, "<" 26, ">" 27, "/" 28, "</s>" 29.
// The rest up to `size` is filler.
json TinyTokenizer(int size = 30) {
  json vocab = json::object();
  for (int i = 0; i < 26; ++i) vocab[std::string(1, static_cast<char>('a' + i))] = i;
  vocab["<"] = 26;
  vocab[">"] = 27;
  vocab["/"] = 28;
  vocab["</s>"] = 29;
  for (int i = 30; i < size; ++i) vocab["filler" + std::to_string(i)] = i;
  return TokenizerJson(vocab, "</s>", json::array());
}

class ModelTest : public testing::Test {
 protected:
  ModelTest() {
    folder_ =
        std::filesystem::path(testing::TempDir()) /
        (std::string("model_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::filesystem::copy(kQwen / "config.json", folder_);
    std::filesystem::copy(kQwen / "model.safetensors", folder_);
    Write("tokenizer.json", TinyTokenizer().dump());
    Write("tokenizer_config.json",
          json({{"eos_token", "</s>"}, {"chat_template", kTemplate}}).dump());
    Write("generation_config.json", R"({"eos_token_id": [29, 5, 1000]})");
  }

  void Write(const char* name, const std::string& text) { std::ofstream(folder_ / name) << text; }

  // What the program prints for these arguments.
  std::string Print(std::vector<std::string> arguments) {
    CLI::App app("test", "extrospect");
    app.require_subcommand(1);
    AddModelCommand(app);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    testing::internal::CaptureStdout();
    try {
      app.parse(arguments);
    } catch (...) {
      testing::internal::GetCapturedStdout();
      throw;
    }
    return testing::internal::GetCapturedStdout();
  }

  std::filesystem::path folder_;
};

TEST_F(ModelTest, LoadsADirectory) {
  const LanguageModel model = LoadModel(folder_, WeightOptions{});
  EXPECT_EQ(model.name, "model_LoadsADirectory");
  EXPECT_EQ(model.architecture.family, "qwen3");
  EXPECT_EQ(model.stop_tokens, (std::vector<int32_t>{29, 5}));
  EXPECT_EQ(model.tokenizer->Encode("cab</s>", true).ids, (std::vector<int32_t>{2, 0, 1, 29}));
  ASSERT_TRUE(model.chat_template.has_value());
  EXPECT_EQ(model.transformer->weights().blocks.size(), 4u);
}

TEST_F(ModelTest, HashesConfigurationAndWeights) {
  const LanguageModel model = LoadModel(folder_, std::nullopt);
  const std::string config = Sha256HexOfFile(folder_ / "config.json");
  const std::string weights = Sha256HexOfFile(folder_ / "model.safetensors");
  EXPECT_EQ(model.sha256,
            Sha256Hex(config + "  config.json\n" + weights + "  model.safetensors\n"));
  EXPECT_EQ(model.transformer, nullptr);
  // Neither the directory's name nor its other files matter.
  Write("generation_config.json", "{}");
  EXPECT_EQ(LoadModel(folder_, std::nullopt).sha256, model.sha256);
}

TEST_F(ModelTest, NamesWhatIsMissing) {
  std::filesystem::remove(folder_ / "config.json");
  EXPECT_PRED2(Contains, MessageOf([&] { LoadModel(folder_, std::nullopt); }), "config.json");
  EXPECT_PRED2(Contains, MessageOf([&] { LoadModel(folder_ / "nowhere", std::nullopt); }),
               "nowhere");
}

TEST_F(ModelTest, RefusesATokenizerThatIsTooLarge) {
  Write("tokenizer.json", TinyTokenizer(96).dump());
  EXPECT_EQ(MessageOf([&] { LoadModel(folder_, std::nullopt); }), "");
  Write("tokenizer.json", TinyTokenizer(97).dump());
  EXPECT_PRED2(Contains, MessageOf([&] { LoadModel(folder_, std::nullopt); }), "embeddings");
}

// Gemma 3's text models share a tokenizer that has one special token more than they do.
TEST_F(ModelTest, SpecialTokensMayExceedTheEmbeddings) {
  json tokenizer = TinyTokenizer(96);
  json extra = tokenizer["added_tokens"][0];
  extra["content"] = "<image>";
  extra["id"] = 96;
  tokenizer["added_tokens"].push_back(extra);
  Write("tokenizer.json", tokenizer.dump());
  EXPECT_EQ(MessageOf([&] { LoadModel(folder_, std::nullopt); }), "");
}

TEST_F(ModelTest, InfoPrintsJson) {
  const json info = json::parse(Print({"model", "info", "--model", folder_.string(), "--json"}));
  EXPECT_EQ(info["architecture"], "qwen3");
  EXPECT_EQ(info["n_layers"], 4);
  EXPECT_EQ(info["d_model"], 32);
  EXPECT_EQ(info["attention"]["n_kv_heads"], 2);
  EXPECT_EQ(info["hooks"].size(), 5u);
  EXPECT_EQ(info["hooks"][0], "blocks.0.hook_resid_pre");
  EXPECT_EQ(info["hooks"][4], "blocks.3.hook_resid_post");
  EXPECT_EQ(info["chat_template"]["source"], kTemplate);
  EXPECT_EQ(info["tokenizer"]["vocab_size"], 30);
  EXPECT_EQ(info["sha256"], LoadModel(folder_, std::nullopt).sha256);
  // Embedding, final norm, and per block: projections, MLP and norms.
  const int64_t block = 32 * (48 + 2 * 24) + 48 * 32 + 3 * 32 * 40 + 2 * 32 + 2 * 12;
  EXPECT_EQ(info["parameters"], 96 * 32 + 32 + 4 * block);
  EXPECT_EQ(info["memory"]["dtype"], "bf16");
  EXPECT_EQ(info["memory"]["weight_bytes"], 2 * info["parameters"].get<int64_t>());
  EXPECT_EQ(info["memory"]["kv_bytes_per_token"], 2 * 4 * 24 * 2);
}

TEST_F(ModelTest, InfoPrintsText) {
  const std::string text = Print({"model", "info", "--model", folder_.string()});
  EXPECT_PRED2(Contains, text, "qwen3");
  EXPECT_PRED2(Contains, text, "blocks.3.hook_resid_post");
  EXPECT_PRED2(Contains, text, LoadModel(folder_, std::nullopt).sha256);
}

TEST_F(ModelTest, TokenizePrintsIds) {
  const auto ids = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"model", "tokenize", "--model", folder_.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Print(arguments);
  };
  EXPECT_EQ(ids({"--text", "cab"}), "[2,0,1]\n");
  EXPECT_EQ(ids({"--text", ""}), "[]\n");
  // Text from outside spells special tokens without being them.
  EXPECT_EQ(ids({"--text", "</s>"}), "[26,28,18,27]\n");
  EXPECT_EQ(ids({"--text", "</s>", "--parse-special"}), "[29]\n");
  Write("chat.json", R"([{"role": "user", "content": "ab"}])");
  EXPECT_EQ(ids({"--chat", (folder_ / "chat.json").string()}), "[26,20,18,4,17,27,0,1,29]\n");
  Write("chats.jsonl",
        "{\"messages\": [{\"role\": \"a\", \"content\": \"b\"}], \"id\": \"x\"}\n\n"
        "[{\"role\": \"c\", \"content\": \"d\"}]\n");
  EXPECT_EQ(ids({"--chat", (folder_ / "chats.jsonl").string()}),
            "[26,0,27,1,29]\n[26,2,27,3,29]\n");
  EXPECT_THROW(ids({}), CLI::ParseError);
  EXPECT_THROW(ids({"--text", "a", "--chat", "b"}), CLI::ParseError);
}

TEST_F(ModelTest, BadChatsAreNamedByLine) {
  const auto message = [&](const std::string& text) {
    Write("chat.jsonl", text);
    return MessageOf([&] { ReadChats(folder_ / "chat.jsonl"); });
  };
  EXPECT_PRED2(Contains, message("[{\"role\": \"a\", \"content\": \"b\"}]\n{oops\n"), "line 2");
  EXPECT_PRED2(Contains, message("{\"text\": \"a\"}"), "messages");
  EXPECT_PRED2(Contains, message("[]"), "messages");
  EXPECT_PRED2(Contains, message("[{\"role\": 1, \"content\": \"b\"}]"), "role");
  EXPECT_PRED2(Contains, message("[{\"role\": \"a\"}]"), "content");
  EXPECT_PRED2(Contains, message(""), "empty");
}

}  // namespace
}  // namespace extrospect
