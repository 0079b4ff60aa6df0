// HttpAnswer: reads an HTTP answer as it comes, for its status code and its end. No I/O.
//
// Beast's parser without its containers: header fields and body are checked and forgotten, nothing
// is allocated for an answer that comes in one piece.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::health {

class HttpAnswer : private boost::beast::http::basic_parser<false> {
 public:
  // `to_head`: the answer to HEAD has no body, whatever its header says.
  explicit HttpAnswer(bool to_head);

  // Once the whole header is there.
  std::optional<unsigned> status() const;

  // Takes what came. True when nothing more is needed: the answer is whole, too long to be read on,
  // or no HTTP; error() tells.
  bool take(std::string_view bytes);

  // The reason why there is no status, after take() returned true or the peer closed.
  std::string error() const;

 private:
  using Error = boost::beast::error_code;
  using Text = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb, Text, Text, int, Error&) override {}
  void on_response_impl(int code, Text, int, Error&) override {
    code_ = static_cast<unsigned>(code);
  }
  void on_field_impl(boost::beast::http::field, Text, Text, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
  std::size_t on_body_impl(Text body, Error&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, Error&) override { return body.size(); }
  void on_finish_impl(Error&) override {}

  unsigned code_ = 0;
  std::size_t taken_ = 0;
  std::string pending_;  // the beginning of a line, or of a header, that isn't whole
  Error error_;
};

}  // namespace sluice::health
