// Printable text: what others typed, as it may stand in a log, a table or a name.
//
// Three kinds of characters do more than be seen: control characters (C0, DEL and C1, which move a
// terminal's cursor or end a log's line), those that turn the direction of the text around them,
// and line and paragraph separators. Names and tags must not have any; output shows them escaped.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Is it UTF-8 without any of these characters?
bool is_printable(std::string_view text);

// The text with each of these characters, and each byte that is not UTF-8, as an escape: "\x1b",
// "\u202e". A backslash stays as it is: this is for eyes, not for reading back.
std::string printable(std::string_view text);

}  // namespace sluice
