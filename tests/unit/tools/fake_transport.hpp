// FakeTransport: a server with prepared answers. The n-th request gets the n-th answer, and all
// requests are kept.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "sluicectl/transport/http.hpp"

namespace sluice::ctl {

struct Exchange {
  std::vector<HttpRequest> requests;
  std::deque<Result<HttpAnswer>> answers;

  Exchange& answer(int status, std::string body) {
    answers.push_back(HttpAnswer{status, std::move(body), "req-7"});
    return *this;
  }
  // "GET /path" of every request, for short expectations.
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const auto& request : requests) out.push_back(request.method + " " + request.target);
    return out;
  }
};

class FakeTransport : public Transport {
 public:
  explicit FakeTransport(Exchange& exchange) : exchange_(exchange) {}

  Result<HttpAnswer> exchange(const HttpRequest& request) override {
    exchange_.requests.push_back(request);
    if (exchange_.answers.empty())
      return fail(ErrorKind::system,
                  "a request too many: " + request.method + " " + request.target);
    auto answer = std::move(exchange_.answers.front());
    exchange_.answers.pop_front();
    return answer;
  }

 private:
  Exchange& exchange_;
};

}  // namespace sluice::ctl
