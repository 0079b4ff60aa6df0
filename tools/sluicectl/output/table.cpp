#include "sluicectl/output/table.hpp"

#include <locale.h>
#include <wchar.h>

#include <algorithm>

#include "base/printable.hpp"

namespace sluice::ctl {
namespace {

// Widths are asked for in a UTF-8 locale: in the user's, which may be "C", only ASCII has a width.
class Utf8Locale {
 public:
  Utf8Locale() {
    static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (utf8) previous_ = uselocale(utf8);
  }
  ~Utf8Locale() {
    if (previous_) uselocale(previous_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t previous_ = nullptr;
};

// Splits a cell and escapes characters that move the cursor or turn a line around.
std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    lines.push_back(printable(text.substr(at, end - at)));
    at = end + 1;
  }
  return lines;
}

}  // namespace

std::size_t display_width(std::string_view utf8) {
  const Utf8Locale locale;
  std::mbstate_t state{};
  std::size_t width = 0;
  while (!utf8.empty()) {
    wchar_t character;
    auto bytes = mbrtowc(&character, utf8.data(), utf8.size(), &state);
    if (bytes == 0 || bytes > utf8.size()) {  // not UTF-8: a byte is a column
      state = {};
      bytes = 1;
      ++width;
    } else {
      width += static_cast<std::size_t>(std::max(0, wcwidth(character)));
    }
    utf8.remove_prefix(bytes);
  }
  return width;
}

TextTable::TextTable(std::vector<std::string> header)
    : right_(header.size(), false), widths_(header.size(), 0) {
  for (const auto& name : header) header_.push_back(split_lines(name));
  widen(header_);
}

void TextTable::add_row(const std::vector<std::string>& cells) {
  std::vector<Lines> row;
  for (const auto& cell : cells) row.push_back(split_lines(cell));
  widen(row);
  rows_.push_back(std::move(row));
}

void TextTable::widen(const std::vector<Lines>& row) {
  for (std::size_t i = 0; i < row.size(); ++i)
    for (const auto& line : row[i]) widths_[i] = std::max(widths_[i], display_width(line));
}

std::string TextTable::rule() const {
  std::string out;
  for (const auto width : widths_) out += "+" + std::string(width + 2, '-');
  return out + "+\n";
}

std::string TextTable::row_text(const std::vector<Lines>& row) const {
  std::size_t height = 0;
  for (const auto& cell : row) height = std::max(height, cell.size());
  std::string out;
  for (std::size_t line = 0; line < height; ++line) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string text = line < row[i].size() ? row[i][line] : "";
      const std::string fill(widths_[i] - display_width(text), ' ');
      out += "| " + (right_[i] ? fill + text : text + fill) + " ";
    }
    out += "|\n";
  }
  return out;
}

std::string TextTable::text() const {
  if (rows_.empty()) return "\n";
  std::string out = rule() + row_text(header_) + rule();
  for (const auto& row : rows_) out += row_text(row);
  return out + rule();
}

}  // namespace sluice::ctl
