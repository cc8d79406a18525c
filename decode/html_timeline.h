// Readings as one self-contained HTML page: transcripts with every token coloured by what is read
// at it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "records/readings.h"

namespace extrospect {

struct TimelineToken {
  std::string text;                // what this token adds to the text; may be empty
  std::optional<Reading> reading;  // none: shown plain
};

struct TimelineMessage {
  std::string role;
  std::vector<TimelineToken> tokens;
};

struct TimelineTranscript {
  std::string id;
  std::string meant;  // the author's label; empty if there is none
  Reading reading;    // of the transcript as a whole
  std::vector<TimelineMessage> messages;
};

struct Timeline {
  std::string decoder;  // which decoder, in a line
  std::string source;   // of which model, hook and tokens, in a line
  std::vector<TimelineTranscript> transcripts;
};

// The page: styles and script inline, nothing loaded from anywhere, all text from outside escaped.
// Hovering, or moving the focus with Tab and the arrow keys, shows a token's reading. Works without
// script too, but for that.
std::string HtmlTimeline(const Timeline& timeline);

}  // namespace extrospect
