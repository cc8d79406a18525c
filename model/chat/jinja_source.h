// Makes the text of a chat template fit for minja, the interpreter.
#pragma once

#include <string>
#include <string_view>

namespace extrospect {

// Returns a template of the same meaning, to be parsed with all of minja's options for white space
// off, in which
//   - white space around tags has been trimmed as Jinja does it with trim_blocks and lstrip_blocks
//     (minja trims the blanks in front of expressions, too), and comments are gone (minja needs
//     stack for each of their characters);
//   - the methods strip, lstrip and rstrip without arguments are the filters python_strip,
//     python_lstrip and python_rstrip, which the caller provides: minja's own take fewer characters
//     away than Python's;
//   - every macro calls python_enter where it begins and python_leave where it ends, which the
//   caller
//     provides, too: they bound how deep macros call each other.
// Throws Error, with the line, for what minja would run out of stack or crash on: brackets, blocks
// and expressions beyond any sensible size, a slice with a step other than [::-1], a division by
// anything but a number other than zero, a split at nothing; for what it would quietly do otherwise
// (divisions with fractions, \u and \x in texts); and for tags that do not end. Other errors of
// syntax are left for minja to find.
std::string PrepareForMinja(std::string_view source);

}  // namespace extrospect
