// TextTable: rows of text in "+-|" borders, each column as wide as its widest cell on a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header);

  // Aligns the column's cells and its header to the right.
  void align_right(std::size_t column) { right_[column] = true; }

  // Adds a row; a cell with newlines takes several lines. Precondition: one cell per column of the
  // header.
  void add_row(const std::vector<std::string>& cells);

  // The table, with a newline at the end; one without rows is an empty line.
  std::string text() const;

 private:
  using Lines = std::vector<std::string>;

  void widen(const std::vector<Lines>& row);
  std::string rule() const;
  std::string row_text(const std::vector<Lines>& row) const;

  std::vector<bool> right_;
  std::vector<std::size_t> widths_;
  std::vector<Lines> header_;
  std::vector<std::vector<Lines>> rows_;
};

// The terminal columns of the text: wide characters take two, combining ones none.
std::size_t display_width(std::string_view utf8);

}  // namespace sluice::ctl
