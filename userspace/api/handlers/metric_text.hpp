// MetricText: writes Prometheus' text format. Each family is announced once, before its samples.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "api/handlers/label_text.hpp"

namespace sluice::api {

class MetricText {
 public:
  // Appends to `out`, which must outlive this.
  explicit MetricText(std::string& out) : out_(out) {}

  void family(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out_), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  template <typename Number>
  void sample(std::string_view name, std::string_view labels, Number value) {
    out_.append(name);
    if (!labels.empty()) out_.append("{").append(labels).append("}");
    if constexpr (std::is_integral_v<Number>) {
      out_.append(" ").append(fmt::format_int(value).c_str()).append("\n");
    } else {
      fmt::format_to(std::back_inserter(out_), " {}\n", value);
    }
  }
  template <typename Number>
  void sample(std::string_view name, std::initializer_list<Label> labels, Number value) {
    sample(name, label_text(labels), value);
  }

  // The same for one of many thousands, of which each costs only to copy what it consists of.
  // `opening`: the name with its brace.
  void sample_of_many(std::string_view opening, std::string_view labels, std::uint64_t value) {
    sample_of_many(opening, labels, {}, value);
  }
  // `further`: a label behind the others, with its comma.
  void sample_of_many(std::string_view opening, std::string_view labels, std::string_view further,
                      std::uint64_t value) {
    constexpr std::size_t digits = std::numeric_limits<std::uint64_t>::digits10 + 1;
    constexpr std::string_view before_value = "} ";
    const auto begin = out_.size();
    out_.resize(begin + opening.size() + labels.size() + further.size() + before_value.size() +
                digits + 1);
    auto* at = out_.data() + begin;
    for (const auto part : {opening, labels, further, before_value})
      at = std::copy(part.begin(), part.end(), at);
    at = std::to_chars(at, at + digits, value).ptr;
    *at++ = '\n';
    out_.resize(static_cast<std::size_t>(at - out_.data()));
  }

 private:
  std::string& out_;
};

}  // namespace sluice::api
