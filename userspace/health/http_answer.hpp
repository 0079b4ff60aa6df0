// HttpAnswer: finds the status code and the end of an HTTP answer that arrives in pieces. No I/O.
//
// It is Beast's parser without its containers: header fields and body are checked and forgotten, so
// an answer that comes in one piece allocates nothing.
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

  // The status code; nullopt until the whole header has arrived.
  std::optional<unsigned> status() const;

  // Takes the next bytes. Returns true when no more are needed: the answer is complete, too long to
  // be read on, or not HTTP, as error() tells.
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
