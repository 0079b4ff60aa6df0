#include "health/http_answer.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

namespace sluice::health {
namespace {

namespace http = boost::beast::http;

constexpr std::uint32_t most_header = 64 * 1024;
// The body is read up to this length, so that servers don't log a broken pipe, and thrown away.
constexpr std::size_t most_taken = 2 * 64 * 1024;

}  // namespace

HttpAnswer::HttpAnswer(bool to_head) {
  header_limit(most_header);
  body_limit(boost::none);
  eager(true);
  skip(to_head);
}

std::optional<unsigned> HttpAnswer::status() const {
  if (!is_header_done()) return std::nullopt;
  return code_;
}

bool HttpAnswer::take(std::string_view bytes) {
  taken_ += bytes.size();
  if (!pending_.empty()) {
    pending_ += bytes;
    bytes = pending_;
  }
  std::size_t used = 0;
  while (used < bytes.size() && !is_done()) {
    const auto size = put(boost::asio::buffer(bytes.data() + used, bytes.size() - used), error_);
    used += size;
    if (error_ && error_ != http::error::need_more) return true;
    if (error_ || size == 0) break;
  }
  error_ = {};
  pending_ = std::string(bytes.substr(used));
  return is_done() || taken_ >= most_taken;
}

std::string HttpAnswer::error() const {
  if (error_ == http::error::header_limit) return "header larger than 64 KiB";
  if (error_) return "the answer is not HTTP: " + error_.message();
  return "connection closed before a whole answer";
}

}  // namespace sluice::health
