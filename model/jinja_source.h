// Makes the text of a chat template fit for minja, the interpreter.
#pragma once

#include <string>
#include <string_view>

namespace extrospect {

// Returns a template of the same meaning in which
//   - the methods strip, lstrip and rstrip without arguments are the filters python_strip,
//     python_lstrip and python_rstrip, which the caller provides: minja's own strip fewer
//     characters than Python's;
//   - comments are empty, because minja's way of skipping them needs stack for each character.
// Throws Error, with the line, for what minja would run out of stack or crash on: brackets, blocks
// and expressions beyond any sensible size, a slice with a step other than [::-1], a division by
// anything but a number other than zero. Errors of syntax are left for minja to find.
std::string PrepareForMinja(std::string_view source);

}  // namespace extrospect
