// The dialog of `extrospect ask`: lines in, text or JSON out.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "decode/ask/ask_session.h"

namespace extrospect {

struct DialogOptions {
  bool json = false;     // answers as JSON, one object a line
  bool colours = false;  // in answers as text
};

// Asks one question and writes the answers. As JSON: transcript, span [first, last], question,
// answer, confidence, abstained, emotions (the five best). See AskSession::Ask.
void WriteAnswers(AskSession& session, const std::string& question, const DialogOptions& options,
                  std::ostream& out);

// Does what the lines say, until `quit` or until `next_line` has no more (returns false). What a
// line gets wrong is said on `err`, and the dialog goes on.
void Converse(AskSession& session, const std::function<bool(std::string& line)>& next_line,
              const DialogOptions& options, std::ostream& out, std::ostream& err);

}  // namespace extrospect
