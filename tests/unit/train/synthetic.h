// A small activation file whose rows tell the labels: for tests of training and decoding.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "records/activations.h"

namespace extrospect::synthetic {

inline constexpr int64_t kWidth = 8;
inline const std::vector<std::string> kWords = {"angry", "calm", "sad", "nothing to report"};
inline const std::vector<std::string> kHooks = {"blocks.0.hook_resid_post",
                                                "blocks.1.hook_resid_post"};

inline ActivationOrigin Origin() {
  ActivationOrigin origin;
  origin.model_name = "toy";
  origin.model_sha256 = std::string(64, 'a');
  origin.architecture = "llama";
  origin.n_layers = 2;
  origin.d_model = kWidth;
  origin.tokenizer_sha256 = std::string(64, 'b');
  origin.chat_template_sha256 = std::string(64, 'c');
  origin.compute_dtype = "f32";
  origin.config = R"({"tokens": ["content", "last"], "pool": "mean"})";
  return origin;
}

// Two selections a transcript. Labels show in block 1 at "content" only; all else is noise. Labels
// are described unless `bare`. Another origin has blocks 0 and 1 too.
inline std::filesystem::path WriteActivations(const std::string& name, int64_t per_word = 30,
                                              bool bare = false,
                                              const ActivationOrigin& origin = Origin()) {
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove(path);
  const std::vector<std::string> holders = {"user", "assistant", "character"};
  ActivationLayout layout;
  std::vector<std::vector<float>> rows(kHooks.size());
  RandomStream random(9, "synthetic");
  const int64_t n = per_word * static_cast<int64_t>(kWords.size());
  for (int64_t i = 0; i < n; ++i) {
    const size_t word = static_cast<size_t>(i) % kWords.size();
    const std::string& holder = holders[static_cast<size_t>(i / 4) % 3];
    nlohmann::json line = {{"id", "t" + std::to_string(i)},
                           {"text", "x"},
                           {"emotion", kWords[word]},
                           {"holder", holder},
                           {"split", i % 5 == 3   ? "dev"
                                     : i % 5 == 4 ? "test"
                                                  : "train"}};
    if (!bare) {
      line["description"] =
          word == 3 ? "The " + holder + " reports nothing of note while sorting a shelf of plates."
                    : "The " + holder + " feels " + kWords[word] + " about the long wait outside.";
    }
    auto& transcript = layout.transcripts.emplace_back();
    transcript.id = line["id"];
    transcript.json = line.dump();
    transcript.first_row = layout.n_rows();
    transcript.n_rows = 2;
    transcript.n_tokens = 5;
    for (uint8_t selection = 0; selection < 2; ++selection) {
      layout.transcript.push_back(static_cast<uint32_t>(i));
      layout.position.push_back(4);
      layout.first_position.push_back(selection == 0 ? 1 : 4);
      layout.token_id.push_back(1);
      layout.selection.push_back(selection);
      for (size_t hook = 0; hook < kHooks.size(); ++hook) {
        for (int64_t d = 0; d < origin.d_model; ++d) {
          const bool tells = selection == 0 && hook == 1 && d == static_cast<int64_t>(word);
          rows[hook].push_back(static_cast<float>(random.Normal() + (tells ? 4 : 0)));
        }
      }
    }
  }
  ActivationWriter writer(path, origin, layout, kHooks, StoreType::kFloat32, false);
  for (size_t hook = 0; hook < kHooks.size(); ++hook) {
    writer.Write(hook, 0, std::as_bytes(std::span(rows[hook])));
  }
  std::vector<uint32_t> all;
  for (int64_t i = 0; i < n; ++i) all.push_back(static_cast<uint32_t>(i));
  writer.MarkDone(all);
  writer.Finish();
  return path;
}

inline std::filesystem::path Folder(const std::string& name) {
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(path);
  return path;
}

}  // namespace extrospect::synthetic
