#include "sluicectl/import/directive.hpp"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "base/ip_address.hpp"

namespace sluice::ctl {
namespace {

constexpr std::string_view blanks = " \t\r\f\v";

struct Token {
  enum class Kind { word, open, close, end };
  Kind kind = Kind::word;
  int line = 0;
  std::string text = {};
};

class Lexer {
 public:
  Lexer(std::string_view text, bool braces, char other_comment, char terminator)
      : text_(text), braces_(braces), other_comment_(other_comment), terminator_(terminator) {}

  Result<std::vector<Token>> all(const std::string& file) {
    while (at_ < text_.size() && open_quote_ == 0) step();
    if (open_quote_ != 0)
      return fail(ErrorKind::invalid,
                  fmt::format("{}:{}: a quote without its end", file, open_quote_));
    tokens_.push_back({Token::Kind::end, line_});
    return std::move(tokens_);
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '#' || (other_comment_ != 0 && c == other_comment_)) {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (c == '\n' || c == terminator_) {
      if (c == terminator_) tokens_.push_back({Token::Kind::end, line_});
      if (c == '\n') ++line_;
      ++at_;
    } else if (blanks.find(c) != blanks.npos) {
      ++at_;
    } else if (braces_ && (c == '{' || c == '}')) {
      tokens_.push_back({c == '{' ? Token::Kind::open : Token::Kind::close, line_});
      ++at_;
    } else {
      word();
    }
  }

  bool ends_word(char c) const {
    return c == '\n' || c == terminator_ || blanks.find(c) != blanks.npos ||
           (braces_ && (c == '{' || c == '}'));
  }

  void word() {
    Token token{Token::Kind::word, line_};
    char quote = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (quote == 0 && ends_word(c) && !is_variable(token.text, c)) break;
      if (c == '\n' && terminator_ == 0) break;  // where lines are statements
      if (c == '\n') ++line_;
      if (c == '\\' && quote != '\'' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
        token.text += text_[++at_];
      } else if (quote != 0 ? c == quote : c == '"' || c == '\'') {
        quote = quote == 0 ? c : '\0';
      } else {
        token.text += c;
      }
    }
    if (quote != 0) open_quote_ = token.line;
    tokens_.push_back(std::move(token));
  }

  // "${name}" is one word.
  static bool is_variable(const std::string& word, char next) {
    if (next == '{') return word.ends_with('$');
    const auto open = word.rfind("${");
    return next == '}' && open != word.npos && word.find('}', open) == word.npos;
  }

  std::string_view text_;
  bool braces_;
  char other_comment_, terminator_;
  std::size_t at_ = 0;
  int line_ = 1;
  int open_quote_ = 0;  // its line
  std::vector<Token> tokens_;
};

class Parser {
 public:
  Parser(const std::string& file, std::vector<Token> tokens, bool one_line)
      : file_(file), tokens_(std::move(tokens)), one_line_(one_line) {}

  Result<std::vector<Directive>> statements(bool inner) {
    std::vector<Directive> out;
    const int begin = tokens_[at_ == 0 ? 0 : at_ - 1].line;
    for (bool open = false; at_ < tokens_.size(); ++at_) {
      const auto& token = tokens_[at_];
      switch (token.kind) {
        case Token::Kind::word:
          if (!open || (one_line_ && out.back().line != token.line))
            out.push_back({token.line, token.line, {}});
          open = true;
          out.back().words.push_back(token.text);
          break;
        case Token::Kind::open: {
          if (out.empty() || out.back().has_block) return fail_at(token.line, "'{' of nothing");
          ++at_;
          auto block = statements(true);
          if (!block) return block;
          out.back().has_block = true;
          out.back().block = std::move(*block);
          out.back().last_line = tokens_[at_].line;
          open = false;
          break;
        }
        case Token::Kind::close:
          if (inner) return out;
          return fail_at(token.line, "'}' without '{'");
        case Token::Kind::end:
          open = false;
          break;
      }
    }
    if (inner) return fail_at(begin, "'{' without '}'");
    return out;
  }

 private:
  tl::unexpected<Error> fail_at(int line, std::string_view what) const {
    return fail(ErrorKind::invalid, fmt::format("{}:{}: {}", file_, line, what));
  }

  const std::string& file_;
  std::vector<Token> tokens_;
  bool one_line_;
  std::size_t at_ = 0;
};

std::int64_t unit_of(std::string_view name) {
  if (name == "us") return 0;
  if (name == "ms") return 1;
  if (name == "s") return 1000;
  if (name == "m") return 60'000;
  if (name == "h") return 3'600'000;
  if (name == "d") return 86'400'000;
  return -1;
}

}  // namespace

std::string Directive::text() const {
  constexpr std::size_t longest = 100;
  auto text = fmt::format("{}{}", fmt::join(words, " "), has_block ? " {...}" : "");
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

Result<std::vector<Directive>> parse_blocks(const std::string& file, std::string_view text,
                                            Statements statements) {
  const bool lines = statements == Statements::lines;
  Lexer lexer(text, true, lines ? '!' : '\0', lines ? '\0' : ';');
  auto tokens = lexer.all(file);
  if (!tokens) return tl::unexpected(tokens.error());
  return Parser(file, std::move(*tokens), lines).statements(false);
}

Result<std::vector<Directive>> parse_lines(const std::string& file, std::string_view text) {
  auto tokens = Lexer(text, false, '\0', '\0').all(file);
  if (!tokens) return tl::unexpected(tokens.error());
  return Parser(file, std::move(*tokens), true).statements(false);
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < 0) return std::nullopt;
  return value;
}

std::optional<std::int64_t> milliseconds(std::string_view text, std::int64_t unit) {
  if (const auto bare = number(text)) return *bare * unit;
  std::int64_t sum = 0;
  while (!text.empty()) {
    const auto digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == text.npos) return std::nullopt;
    const auto next = text.find_first_of("0123456789", digits);
    const auto value = number(text.substr(0, digits));
    const auto factor = unit_of(text.substr(digits, next == text.npos ? next : next - digits));
    if (!value || factor < 0) return std::nullopt;
    sum += *value * factor;
    text.remove_prefix(next == text.npos ? text.size() : next);
  }
  return sum == 0 ? std::nullopt : std::optional(sum);
}

std::optional<Place> parse_place(std::string_view text) {
  if (const auto bare = parse_ip_address(text)) return Place{bare->to_string(), 0};
  const auto colon = text.rfind(':');
  auto host = text.substr(0, colon);
  std::int64_t port = 0;
  if (colon != text.npos) {
    const auto read = number(text.substr(colon + 1));
    if (!read || *read < 1 || *read > 65535) return std::nullopt;
    port = *read;
  }
  if (host.empty() || host == "*") return Place{"", port};
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = parse_ip_address(host);
  if (!address) return std::nullopt;
  return Place{address->is_unspecified() ? "" : address->to_string(), port};
}

std::optional<PortRange> parse_ports(std::string_view text) {
  const auto dash = text.rfind('-');
  const auto front = text.substr(0, dash);
  const auto bare = number(front);
  const auto first = bare ? parse_place(fmt::format(":{}", *bare)) : parse_place(front);
  const auto last = dash == text.npos ? std::nullopt : number(text.substr(dash + 1));
  if (!first || first->port == 0 || (dash != text.npos && !last)) return std::nullopt;
  if (last && (*last < first->port || *last > 65535)) return std::nullopt;
  return PortRange{*first, last.value_or(first->port)};
}

}  // namespace sluice::ctl
