// Printable text: what others typed, made fit for a log, a table or a name.
//
// Three kinds of characters have effects beyond their glyph: control characters (C0, DEL and C1,
// which move a terminal's cursor or end a log's line), those that turn the direction of the text
// around them, and line and paragraph separators. Names and tags must not contain any; output shows
// them escaped.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Says whether the text is UTF-8 without any of these characters.
bool is_printable(std::string_view text);

// The text with each of these characters, and each byte that is not UTF-8, as an escape: "\x1b",
// "\u202e". A backslash stays as it is, so the text can't be read back.
std::string printable(std::string_view text);

}  // namespace sluice
