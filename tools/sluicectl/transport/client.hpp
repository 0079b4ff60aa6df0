// Client: fetches, lists, changes and finds the API's objects as JSON, and waits for them. It knows
// faults, but no commands.
#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "sluicectl/grammar/command.hpp"
#include "sluicectl/transport/http.hpp"

namespace sluice::ctl {

using Query = std::vector<std::pair<std::string, std::string>>;

class Client {
 public:
  using Sleep = std::function<void(std::chrono::milliseconds)>;

  // `sleep` passes the time between two looks of wait_until_settled() and wait_until_gone().
  Client(Transport& transport, Sleep sleep);

  // Sends a request and returns the answer's body, null if there is none. A refusal is an error in
  // the server's words: "Listener x not found. (HTTP 404)". If the answer to a change is lost, the
  // error says what became of the change (lost_answer.hpp).
  Result<boost::json::value> request(const std::string& method, const std::string& target,
                                     const boost::json::object* body = nullptr);
  // The same for other types than JSON: gets a file, or sends one.
  Result<std::string> download(const std::string& target);
  Result<boost::json::value> upload(const std::string& target, std::string file,
                                    const std::string& content_type);
  // Carries out several requests as one. The error is that of the refused request and has its
  // number, if one was refused. A lost answer is no error if the requests were carried out.
  struct Refusal {
    Error error;
    std::optional<std::size_t> request;
  };
  tl::expected<void, Refusal> batch(boost::json::array requests, bool dry_run);

  // Fetches the object under its wrapper ("loadbalancer").
  Result<boost::json::object> fetch(const std::string& path, const std::string& wrapper);
  Result<boost::json::object> send(const std::string& method, const std::string& path,
                                   const std::string& wrapper, boost::json::object attributes);

  // Lists the whole collection, in as many pages as the server makes of it.
  Result<boost::json::array> list(const std::string& path, const std::string& collection,
                                  const Query& query = {});

  // The names (or the `key`) of a collection's objects, without empty ones.
  std::vector<std::string> names(const std::string& path, const std::string& collection,
                                 const std::string& key);

  // Finds the id of the object with this id or name. `path` is the collection's, with its parent's
  // id. `see` is the command that lists the candidates.
  Result<std::string> resolve(const Resource& resource, const std::string& path,
                              const std::string& name_or_id, const std::string& see);

  // Polls until the object is ACTIVE and returns it; ERROR is an error, and so is PENDING_* after a
  // minute.
  Result<boost::json::object> wait_until_settled(const std::string& path,
                                                 const std::string& wrapper);

  // Polls until the object is gone.
  Result<void> wait_until_gone(const std::string& path, const std::string& wrapper);

 private:
  Result<HttpAnswer> change(HttpRequest request);
  Result<boost::json::value> body_of(const HttpRequest& request);

  Transport& transport_;
  Sleep sleep_;
};

// Puts "create listener 'x': " before the server's error. An error of reaching the server is not
// about an object and stays as it is.
Error about(std::string_view what, Error error);

// Escapes the text for a query.
std::string escaped(const std::string& text);

// The path with its "{}" replaced by the parent's id.
std::string with_parent(const std::string& path, const std::string& parent_id);

}  // namespace sluice::ctl
