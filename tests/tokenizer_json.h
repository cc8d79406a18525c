// A byte-level tokenizer.json for tests.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace extrospect {

// `vocabulary`: ids by token, in byte-level letters; `stop`: the special one among them; `merges`:
// as tokenizer.json has them.
inline nlohmann::json TokenizerJson(const nlohmann::json& vocabulary, const std::string& stop,
                                    const nlohmann::json& merges) {
  using nlohmann::json;
  const json added = {
      {"id", vocabulary.at(stop)}, {"content", stop},     {"single_word", false}, {"lstrip", false},
      {"rstrip", false},           {"normalized", false}, {"special", true}};
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", json::array({added})},
          {"normalizer", nullptr},
          {"pre_tokenizer", bytes},
          {"post_processor", nullptr},
          {"decoder", bytes},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

}  // namespace extrospect
