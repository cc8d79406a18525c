// transcripts.jsonl: conversations, with the labels that their authors gave them.
//
// One JSON object a line: `id` (unique), `messages` [{role, content}] or `text`; ShareGPT's
// `conversations` [{from, value}] are read as messages. Labels (records/labels.h) are optional.
// Every other field is kept in `json` untouched.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat/chat_template.h"
#include "records/labels.h"

namespace extrospect {

struct Transcript : Labels {
  std::string id;
  std::vector<ChatMessage> messages;  // empty for raw text
  std::string text;                   // raw text; empty for messages
  std::string json;                   // the source line

  bool is_raw() const { return messages.empty(); }
};

// Parses one line. `where` ("file, line 3") stands in the Error that a bad line throws, with the
// field. An id is made from `fallback_id` for ShareGPT lines, which often have none.
Transcript ParseTranscript(std::string_view line, const std::string& where,
                           const std::string& fallback_id);

// All transcripts of a file (at most `limit` if that is not negative), in order; blank lines are
// skipped. Throws Error on a bad line and on an id that occurs twice.
std::vector<Transcript> ReadTranscripts(const std::filesystem::path& path, int64_t limit = -1);

// The messages in one plain text, for readers and terminals: "user: …\n\nassistant: …".
std::string PlainText(const Transcript& transcript);

}  // namespace extrospect
