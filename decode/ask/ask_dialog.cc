#include "decode/ask/ask_dialog.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "decode/terminal.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr size_t kColumns = 100, kPreview = 60, kEmotions = 5;
constexpr char kHelp[] =
    "  list             the transcripts\n"
    "  use ID           go to another transcript\n"
    "  show             its tokens with their positions\n"
    "  span A:B         ask about tokens A to B, both included\n"
    "  tokens NAME      ask about the tokens of a selection: content, all, role:user, message:-1, "
    "last\n"
    "  help, quit\n"
    "Anything else is a question, in which {holder} stands for whose feeling it is about.\n";

// What a terminal shows of text from outside: control characters would act on it.
std::string Visible(const std::string& text) {
  std::string visible;
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (byte == '\n') {
      visible += "\\n";
    } else {
      visible += code < 0x20 || code == 0x7F ? '?' : byte;
    }
  }
  return visible;
}

// Characters, not bytes.
size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

void List(const AskSession& session, std::ostream& out) {
  for (const Transcript& transcript : session.transcripts()) {
    std::string text = Visible(PlainText(transcript));
    if (text.size() > kPreview) {
      size_t end = kPreview;
      while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
      text = text.substr(0, end) + "…";
    }
    out << (transcript.id == session.transcript().id ? "* " : "  ") << Visible(transcript.id)
        << "  " << text << "\n";
  }
}

void Where(const AskSession& session, std::ostream& out) {
  const std::vector<uint32_t>& positions = session.positions();
  out << Visible(session.transcript().id) << ", tokens " << positions.front() << ":"
      << positions.back();
  if (positions.size() != positions.back() - positions.front() + 1) {
    out << " (" << positions.size() << " of them)";
  }
  out << " of " << session.prepared().tokens.size() << "\n";
}

void Show(const AskSession& session, std::ostream& out) {
  const PreparedTranscript& prepared = session.prepared();
  // Whose message each token belongs to; what the template put around them belongs to nobody.
  std::vector<std::string> owner(prepared.tokens.size());
  for (const MessageSpan& span : prepared.messages) {
    for (uint32_t i = span.begin; i < span.end; ++i) owner[i] = span.role;
  }
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) out << "  " << line << "\n";
    line.clear();
  };
  for (uint32_t i = 0; i < owner.size(); ++i) {
    if (i == 0 || owner[i] != owner[i - 1]) {
      flush();
      out << (owner[i].empty() ? "template" : Visible(owner[i])) << "\n";
    }
    const std::string token = std::to_string(i) + "\"" + Visible(session.TokenText(i)) + "\"";
    if (Width(line) + Width(token) + 4 > kColumns) flush();
    line += (line.empty() ? "" : "  ") + token;
  }
  flush();
  Where(session, out);
}

ordered_json Answer(const Reading& reading, const std::string& question) {
  ordered_json emotions = ordered_json::array();
  for (size_t i = 0; i < std::min(kEmotions, reading.emotions.size()); ++i) {
    emotions.push_back({{"name", reading.emotions[i].name}, {"p", reading.emotions[i].p}});
  }
  return {{"transcript", reading.transcript},
          {"span", {reading.first_position, reading.position}},
          {"question", question},
          {"answer", reading.reading},
          {"confidence", reading.confidence},
          {"abstained", reading.abstained},
          {"emotions", emotions}};
}

// Whether the line was a command. Questions may begin with a command's name, hence the exact number
// of words.
bool Command(AskSession& session, const std::string& line, std::ostream& out) {
  std::istringstream stream(line);
  std::string verb, argument, more;
  stream >> verb >> argument >> more;
  if (!more.empty()) return false;
  if (argument.empty()) {
    if (verb == "list") {
      List(session, out);
    } else if (verb == "show") {
      Show(session, out);
    } else if (verb == "help") {
      out << kHelp;
    } else if (verb == "use" || verb == "span" || verb == "tokens") {
      throw UsageError("something is missing").At(verb).Hint("help says what");
    } else {
      return false;
    }
    return true;
  }
  if (verb == "use") {
    session.Use(argument);
  } else if (verb == "span") {
    session.SelectSpan(argument);
  } else if (verb == "tokens") {
    session.SelectTokens(argument);
  } else {
    return false;
  }
  Where(session, out);
  return true;
}

}  // namespace

void WriteAnswers(AskSession& session, const std::string& question, const DialogOptions& options,
                  std::ostream& out) {
  for (const Reading& reading : session.Ask(question)) {
    if (options.json) {
      // The text is the model's, and may be cut off within a character.
      out << Answer(reading, question).dump(-1, ' ', false, ordered_json::error_handler_t::replace)
          << "\n";
    } else {
      out << TerminalView(reading, options.colours);
    }
  }
  out.flush();
}

void Converse(AskSession& session, const std::function<bool(std::string& line)>& next_line,
              const DialogOptions& options, std::ostream& out, std::ostream& err) {
  std::string line;
  while (next_line(line)) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == line.npos) continue;
    line = line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
    if (line == "quit" || line == "exit") return;
    try {
      // With JSON, standard output carries answers alone.
      if (!Command(session, line, options.json ? err : out)) {
        WriteAnswers(session, line, options, out);
      }
    } catch (const Error& error) {
      if (error.code() == ExitCode::kInterrupted) throw;
      err << error.what() << "\n";
    }
    out.flush();
  }
}

}  // namespace extrospect
