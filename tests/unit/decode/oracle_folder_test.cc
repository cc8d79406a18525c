// The folder of a decoder that asks the model: what it says of itself has to be so.
#include "decode/oracle/oracle_folder.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "decode/load.h"
#include "decode/oracle/oracle_prompt.h"
#include "tests/unit/decode/tiny_model.h"

namespace extrospect {
namespace {

using nlohmann::json;

class OracleFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    model_ = tiny::Load(tiny::ModelFolder("oracle_folder_model"));
    folder_ = std::filesystem::path(testing::TempDir()) / "oracle_folder";
    std::filesystem::create_directories(folder_);
    const DecoderInfo info = tiny::Info(*model_, "selfie");
    WriteDecoderJson(folder_, info,
                     SaveOracle(folder_, info, *model_, tiny::Spec(), tiny::Weights(), 0.0));
    written_ = json::parse(ReadFile(folder_ / "decoder.json"));
  }

  // What loading says after a change.
  std::string Complaint(const std::function<void(json&)>& change) {
    json changed = written_;
    change(changed);
    WriteFileAtomically(folder_ / "decoder.json", changed.dump());
    try {
      LoadDecoder(folder_, at::kCPU, model_);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::shared_ptr<const LanguageModel> model_;
  std::filesystem::path folder_;
  json written_;
};

TEST_F(OracleFolderTest, WhatItSaysOfTheModelAndThePromptIsChecked) {
  EXPECT_EQ(Complaint([](json&) {}), "");
  const auto expect = [&](const std::string& part, const std::function<void(json&)>& change) {
    const std::string complaint = Complaint(change);
    EXPECT_NE(complaint.find(part), complaint.npos) << part << "\n" << complaint;
  };
  for (const int64_t layers : {2, 3, 60}) {
    expect("blocks, width", [&](json& object) { object["model"]["n_layers"] = layers; });
  }
  expect("blocks, width", [](json& object) { object["model"]["architecture"] = "gpt9"; });
  expect("n_vectors", [](json& object) { object["selfie"]["n_vectors"] = 77; });
  expect("layers", [](json& object) { object["selfie"]["layers"] = "99"; });
  expect("placeholder_id", [](json& object) { object["selfie"]["placeholder_id"] = 3; });
  expect("prompt_template", [](json& object) { object["selfie"]["prompt_template"] = "{}"; });
  expect("injection.block", [](json& object) { object["selfie"]["injection"]["block"] = 0.5; });
  expect("injection.coefficient",
         [](json& object) { object["selfie"]["injection"]["coefficient"] = "2"; });
  expect("tails", [](json& object) { object["selfie"]["tails"] = 1.9; });
  expect("hooks", [](json& object) { object["hooks"][1] = object["hooks"][0]; });
  expect("levels", [](json& object) {
    for (int i = 0; i < 100; ++i) object["tail"] = json::array({object["tail"]});
  });
}

TEST_F(OracleFolderTest, ThePlaceholderStandsInOnePlaceOnly) {
  OraclePromptFormat format{.layers = "1, 2", .placeholder = " ?", .n_vectors = 2};
  const OraclePrompt prompt = MakeOraclePrompt(*model_, format, "Why ? ?", "so");
  EXPECT_EQ(prompt.question[0], prompt.question[1]);
  format.placeholder = ":";  // of "Layer:"
  EXPECT_THROW(MakeOraclePrompt(*model_, format, "Why", ""), Error);
}

TEST_F(OracleFolderTest, AQuestionFitsTheContext) {
  const OraclePromptFormat format{.layers = "1", .placeholder = " ?", .n_vectors = 1};
  const std::string lengthy(static_cast<size_t>(model_->architecture.context_length), 'a');
  try {
    MakeOraclePrompt(*model_, format, lengthy, "");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a question is longer"), std::string::npos);
    EXPECT_EQ(error.code(), ExitCode::kUsage);
  }
}

}  // namespace
}  // namespace extrospect
