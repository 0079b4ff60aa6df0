// Client: the API's objects as JSON: fetch, list, change, find by name, wait. Knows faults, not
// commands.
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

  // The body of the answer, null when it has none. What the server refuses is an error in its
  // words, with the HTTP status: "Listener x not found. (HTTP 404)".
  Result<boost::json::value> request(const std::string& method, const std::string& target,
                                     const boost::json::object* body = nullptr);
  // The same for what is no JSON: gets a file, and sends one.
  Result<std::string> download(const std::string& target);
  Result<boost::json::value> upload(const std::string& target, std::string file,
                                    const std::string& content_type);
  // Carries out several requests as one. An error is the refused one's and tells its number, if it
  // was one of them.
  struct Refusal {
    Error error;
    std::optional<std::size_t> request;
  };
  tl::expected<void, Refusal> batch(boost::json::array requests, bool dry_run);

  // The object under its wrapper ("loadbalancer").
  Result<boost::json::object> fetch(const std::string& path, const std::string& wrapper);
  Result<boost::json::object> send(const std::string& method, const std::string& path,
                                   const std::string& wrapper, boost::json::object attributes);

  // The whole collection, however many pages the server makes of it.
  Result<boost::json::array> list(const std::string& path, const std::string& collection,
                                  const Query& query = {});

  // The names (or whatever `key` is) of a collection's objects; those without are left out.
  std::vector<std::string> names(const std::string& path, const std::string& collection,
                                 const std::string& key);

  // The id of the object with this id or name. `path` is the collection's, its parent's id filled
  // in. `see` is the command that would list the candidates.
  Result<std::string> resolve(const Resource& resource, const std::string& path,
                              const std::string& name_or_id, const std::string& see);

  // Looks until the object is ACTIVE and returns it; ERROR is an error, and so is PENDING_* after a
  // minute.
  Result<boost::json::object> wait_until_settled(const std::string& path,
                                                 const std::string& wrapper);

  // Looks until the object is gone.
  Result<void> wait_until_gone(const std::string& path, const std::string& wrapper);

 private:
  Transport& transport_;
  Sleep sleep_;
};

// "create listener 'x': " before what the server says. Trouble with reaching the server is about no
// object and stays as it is.
Error about(std::string_view what, Error error);

// The text as it may stand in a query.
std::string escaped(const std::string& text);

// The path with its "{}" replaced by the parent's id.
std::string with_parent(const std::string& path, const std::string& parent_id);

}  // namespace sluice::ctl
