// What there is to say about a model, and token ids of texts and chats, as JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "model/model.h"

namespace extrospect {

// Bytes of a model's weights in `dtype`, and of the keys and values of one token.
int64_t WeightBytes(const Architecture& architecture, at::ScalarType dtype);
int64_t KeyValueBytesPerToken(const Architecture& architecture, at::ScalarType dtype);

// Name, family, sizes, parameters, memory in `dtype`, attention, tokenizer, chat template, hashes
// and hooks.
nlohmann::ordered_json DescribeModel(const LanguageModel& model, at::ScalarType dtype);

// The chats of a file: one JSON document, or JSON Lines with one chat each. A chat is a list of
// {"role", "content"}, or an object that has one under "messages". Throws Error naming the line.
std::vector<std::vector<ChatMessage>> ReadChats(const std::filesystem::path& path);

}  // namespace extrospect
