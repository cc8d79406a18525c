#include "records/transcripts.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"

namespace extrospect {
namespace {

using nlohmann::json;

Error BadLine(const std::string& where, const std::string& field) {
  return Error("cannot read transcript")
      .At(where + (field.empty() ? "" : ", field '" + field + "'"));
}

const char* TypeName(const json& value) { return value.type_name(); }

std::string RequireString(const json& object, const char* key, const std::string& where,
                          const std::string& field) {
  const auto found = object.find(key);
  if (found == object.end()) throw BadLine(where, field).Expected("a string").Found("nothing");
  if (!found->is_string()) {
    throw BadLine(where, field).Expected("a string").Found(TypeName(*found));
  }
  return found->get<std::string>();
}

// ShareGPT's names for the roles.
std::string RoleFromShareGpt(std::string from) {
  if (from == "human") return "user";
  if (from == "gpt" || from == "chatgpt" || from == "bot") return "assistant";
  return from;
}

std::vector<ChatMessage> ParseMessages(const json& list, const std::string& name,
                                       const char* role_key, const char* content_key,
                                       const std::string& where) {
  if (!list.is_array() || list.empty()) {
    throw BadLine(where, name)
        .Expected("a list of at least one message")
        .Found(list.is_array() ? "an empty list" : TypeName(list));
  }
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string field = name + "[" + std::to_string(i) + "]";
    if (!list[i].is_object()) {
      throw BadLine(where, field).Expected("an object").Found(TypeName(list[i]));
    }
    ChatMessage message;
    message.role =
        RoleFromShareGpt(RequireString(list[i], role_key, where, field + "." + role_key));
    message.content = RequireString(list[i], content_key, where, field + "." + content_key);
    if (message.role.empty()) {
      throw BadLine(where, field + "." + role_key).Expected("a role").Found("an empty string");
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace

Transcript ParseTranscript(std::string_view line, const std::string& where,
                           const std::string& fallback_id) {
  const json object = ParseBoundedJson(line, where);
  if (!object.is_object()) {
    throw BadLine(where, "").Expected("one JSON object").Found(TypeName(object));
  }
  Transcript transcript;
  static_cast<Labels&>(transcript) = ParseLabels(object, where);
  transcript.json = line;
  const bool share_gpt = object.contains("conversations");
  if (object.contains("messages")) {
    transcript.messages = ParseMessages(object["messages"], "messages", "role", "content", where);
  } else if (share_gpt) {
    transcript.messages =
        ParseMessages(object["conversations"], "conversations", "from", "value", where);
  } else if (object.contains("text")) {
    transcript.text = RequireString(object, "text", where, "text");
    if (transcript.text.empty()) {
      throw BadLine(where, "text").Expected("some text").Found("an empty string");
    }
  } else {
    throw BadLine(where, "messages")
        .Expected("'messages', 'conversations' or 'text'")
        .Found("none of them");
  }
  if (share_gpt && !object.contains("id")) {
    transcript.id = fallback_id;
  } else {
    transcript.id = RequireString(object, "id", where, "id");
  }
  if (transcript.id.empty()) throw BadLine(where, "id").Expected("a name").Found("an empty string");
  // HDF5 ends texts there: different ids would become the same.
  if (transcript.id.find('\0') != std::string::npos) {
    throw BadLine(where, "id").Expected("a name").Found("one with U+0000 in it");
  }
  return transcript;
}

std::vector<Transcript> ReadTranscripts(const std::filesystem::path& path, int64_t limit) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<Transcript> transcripts;
  std::unordered_map<std::string, int64_t> line_of;
  for (int64_t line = 1; !rest.empty(); ++line) {
    if (limit >= 0 && static_cast<int64_t>(transcripts.size()) >= limit) break;
    const size_t end = rest.find('\n');
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const std::string where = path.string() + ", line " + std::to_string(line);
    Transcript transcript =
        ParseTranscript(text, where, path.stem().string() + "-" + std::to_string(line));
    const auto [known, is_new] = line_of.emplace(transcript.id, line);
    if (!is_new) {
      throw BadLine(where, "id")
          .Expected("an id that occurs once")
          .Found("'" + transcript.id + "', which line " + std::to_string(known->second) +
                 " has already");
    }
    transcripts.push_back(std::move(transcript));
  }
  return transcripts;
}

std::string PlainText(const Transcript& transcript) {
  if (transcript.is_raw()) return transcript.text;
  std::string text;
  for (const ChatMessage& message : transcript.messages) {
    if (!text.empty()) text += "\n\n";
    text += message.role + ": " + message.content;
  }
  return text;
}

}  // namespace extrospect
