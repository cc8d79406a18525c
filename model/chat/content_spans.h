// Where in a rendered chat the contents of its messages are.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/chat/chat_template.h"

namespace extrospect {

// `render` is what made `text` of `messages` (whose contents may be any bytes). Looking for the
// contents in the text would mistake a header for a content that says "user"; so the chat is
// rendered again with marks in the place of contents, which shows what stands around them. The
// result has one span for each message: see RenderedChat.
std::vector<std::pair<size_t, size_t>> FindContentSpans(
    const std::vector<ChatMessage>& messages, std::string_view text,
    const std::function<std::string(const std::vector<ChatMessage>&)>& render);

// `text` (valid UTF-8) without what Python's str.strip, lstrip and rstrip take away.
std::string_view PythonStrip(std::string_view text, bool left, bool right);

}  // namespace extrospect
