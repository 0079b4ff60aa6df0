// Directives: a configuration file as a tree of statements, each with its line, and the little
// grammar that the formats share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::ctl {

struct Directive {
  int line = 0, last_line = 0;     // last_line: of its block
  std::vector<std::string> words;  // the first one names it
  bool has_block = false;
  std::vector<Directive> block = {};
  bool told = false;  // it is in the manifest or in a comment

  const std::string& name() const { return words.front(); }
  std::string word(std::size_t at) const { return at < words.size() ? words[at] : std::string(); }
  std::string text() const;  // its words, for comments: not more than a line
};

// How statements end: keepalived's at the end of the line, nginx's with a semicolon.
enum class Statements { lines, semicolons };

// Parses statements and blocks in braces; # begins a comment, with Statements::lines also "!".
Result<std::vector<Directive>> parse_blocks(const std::string& file, std::string_view text,
                                            Statements statements);

// Parses one statement per line without blocks; # begins a comment.
Result<std::vector<Directive>> parse_lines(const std::string& file, std::string_view text);

std::optional<std::int64_t> number(std::string_view text);
// "30s", "1h30m", "250ms"; a bare number has this unit.
std::optional<std::int64_t> milliseconds(std::string_view text, std::int64_t unit);

// "10.0.0.1:80", "[2001:db8::1]:80", "10.0.0.1" (port 0), "*:80" and ":80" (address empty).
struct Place {
  std::string address;
  std::int64_t port = 0;
};
// nullopt: neither; host names are no addresses.
std::optional<Place> parse_place(std::string_view text);

// Where a listener listens: at one port, or at all from the place's to `last`.
struct PortRange {
  Place first;
  std::int64_t last = 0;
};
// As parse_place(), also "80" alone and with ranges, "10.0.0.1:8000-8010"; nullopt without a port.
std::optional<PortRange> parse_ports(std::string_view text);

}  // namespace sluice::ctl
