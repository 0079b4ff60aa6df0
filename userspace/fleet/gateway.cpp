#include "fleet/gateway.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

namespace sluice::fleet::gateway {
namespace {

namespace json = boost::json;

// gRPC's codes for what etcd refuses, and would refuse again.
constexpr std::int64_t invalid_argument = 3, permission_denied = 7, resource_exhausted = 8,
                       failed_precondition = 9, out_of_range = 11, unauthenticated = 16;

json::string base64(const std::string& bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const auto length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                      reinterpret_cast<const unsigned char*>(bytes.data()),
                                      static_cast<int>(bytes.size()));
  return json::string(text.data(), static_cast<std::size_t>(length));
}

std::string from_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.empty()) return {};
  std::string bytes(text.size() / 4 * 3, '\0');
  const auto length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()));
  if (length < 0) return {};
  const auto padding = static_cast<std::size_t>(text.ends_with("==") ? 2 : text.ends_with('='));
  bytes.resize(bytes.size() - padding);
  return bytes;
}

// The first key after all that begin with the prefix.
std::string end_of(std::string prefix) {
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

// ---- reading, with what is missing as zero, false or empty ----

const json::object& object_at(const json::object& object, std::string_view name) {
  static const json::object none;
  const auto* value = object.if_contains(name);
  return value && value->is_object() ? value->get_object() : none;
}

const json::array& array_at(const json::object& object, std::string_view name) {
  static const json::array none;
  const auto* value = object.if_contains(name);
  return value && value->is_array() ? value->get_array() : none;
}

std::string text_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

template <typename Number = std::int64_t>
Number number_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value && value->is_int64()) return static_cast<Number>(value->get_int64());
  const auto text = text_at(object, name);
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool flag_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_bool() && value->get_bool();
}

std::optional<json::object> parse(const std::string& body) {
  boost::system::error_code error;
  auto value = json::parse(body, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

Failure not_understood(const std::string& body) {
  return {fmt::format("its answer can't be understood: {:.80}", body), true, false};
}

Header header_of(const json::object& answer) {
  const auto& header = object_at(answer, "header");
  return {number_at<std::uint64_t>(header, "cluster_id"), number_at(header, "revision")};
}

KeyValue entry_of(const json::object& kv) {
  return {from_base64(text_at(kv, "key")), from_base64(text_at(kv, "value")),
          number_at(kv, "mod_revision")};
}

void add_entries(const json::object& range, std::vector<KeyValue>& found) {
  for (const auto& kv : array_at(range, "kvs")) {
    if (kv.is_object()) found.push_back(entry_of(kv.get_object()));
  }
}

}  // namespace

Request transaction(const Transaction& transaction) {
  json::object compare{{"key", base64(transaction.key)}, {"result", "EQUAL"}};
  if (transaction.expected) {
    compare["target"] = "VALUE";
    compare["value"] = base64(*transaction.expected);
  } else {
    compare["target"] = "VERSION";
    compare["version"] = "0";
  }
  json::array success, failure;
  for (const auto& key : transaction.removals)
    success.push_back(json::object{{"request_delete_range", {{"key", base64(key)}}}});
  for (const auto& put : transaction.puts) {
    json::object request{{"key", base64(put.key)}, {"value", base64(put.value)}};
    if (put.lease != 0) request["lease"] = std::to_string(put.lease);
    success.push_back(json::object{{"request_put", std::move(request)}});
  }
  for (const auto& key : transaction.read_otherwise)
    failure.push_back(json::object{{"request_range", {{"key", base64(key)}}}});
  return {"/v3/kv/txn", json::serialize(json::object{{"compare", json::array{std::move(compare)}},
                                                     {"success", std::move(success)},
                                                     {"failure", std::move(failure)}})};
}

Request reading(const std::string& key, Etcd::Extent extent) {
  json::object body{{"key", base64(key)}};
  if (extent == Etcd::Extent::prefix) body["range_end"] = base64(end_of(key));
  return {"/v3/kv/range", json::serialize(body)};
}

Request past_reading(const std::string& key, std::int64_t revision) {
  return {"/v3/kv/range",
          json::serialize(json::object{
              {"key", base64(key)}, {"revision", std::to_string(revision)}, {"keys_only", true}})};
}

Request grant(std::chrono::seconds life) {
  return {"/v3/lease/grant", json::serialize(json::object{{"TTL", std::to_string(life.count())}})};
}

Request renewal(std::int64_t lease) {
  return {"/v3/lease/keepalive", json::serialize(json::object{{"ID", std::to_string(lease)}})};
}

Request watch(const std::string& prefix, std::int64_t from) {
  return {"/v3/watch", json::serialize(json::object{{"create_request",
                                                     {{"key", base64(prefix)},
                                                      {"range_end", base64(end_of(prefix))},
                                                      {"start_revision", std::to_string(from)},
                                                      {"progress_notify", true}}}})};
}

Request authentication(const std::string& user, const std::string& password) {
  return {"/v3/auth/authenticate",
          json::serialize(json::object{{"name", user}, {"password", password}})};
}

Answer<TransactionReply> to_transaction_reply(const std::string& body) {
  const auto answer = parse(body);
  if (!answer) return tl::unexpected(not_understood(body));
  TransactionReply reply{header_of(*answer), flag_at(*answer, "succeeded"), {}};
  if (reply.header.cluster == 0) return tl::unexpected(not_understood(body));
  if (reply.happened) return reply;
  for (const auto& response : array_at(*answer, "responses")) {
    if (response.is_object())
      add_entries(object_at(response.get_object(), "response_range"), reply.read);
  }
  return reply;
}

Answer<Reading> to_reading(const std::string& body) {
  const auto answer = parse(body);
  if (!answer) return tl::unexpected(not_understood(body));
  Reading reading{header_of(*answer), {}};
  if (reading.header.cluster == 0) return tl::unexpected(not_understood(body));
  add_entries(*answer, reading.found);
  return reading;
}

Answer<std::int64_t> to_lease(const std::string& body) {
  const auto answer = parse(body);
  const auto lease = answer ? number_at(*answer, "ID") : 0;
  if (lease == 0) return tl::unexpected(not_understood(body));
  return lease;
}

Answer<bool> to_renewal(const std::string& body) {
  const auto answer = parse(body);
  if (!answer) return tl::unexpected(not_understood(body));
  return number_at(object_at(*answer, "result"), "TTL") > 0;
}

Answer<std::string> to_token(const std::string& body) {
  const auto answer = parse(body);
  auto token = answer ? text_at(*answer, "token") : std::string();
  if (token.empty()) return tl::unexpected(not_understood(body));
  return token;
}

WatchLine to_watch_line(const std::string& line) {
  const auto answer = parse(line);
  if (!answer) return {.header = {}, .changes = {}, .end = WatchEnd{not_understood(line).text}};
  if (answer->contains("error")) {
    const auto text = text_at(object_at(*answer, "error"), "message");
    return {.header = {}, .changes = {}, .end = WatchEnd{text}};
  }
  const auto& result = object_at(*answer, "result");
  WatchLine told{header_of(result), {}, std::nullopt};
  if (flag_at(result, "canceled")) {
    const bool compacted = number_at(result, "compact_revision") != 0;
    told.end = WatchEnd{compacted ? "what has changed since is compacted"
                                  : "it is not allowed: " + text_at(result, "cancel_reason"),
                        compacted};
    return told;
  }
  for (const auto& event : array_at(result, "events")) {
    if (!event.is_object()) continue;
    const auto& change = event.get_object();
    told.changes.push_back(
        {entry_of(object_at(change, "kv")), text_at(change, "type") == "DELETE"});
  }
  return told;
}

bool asks_for_authentication(unsigned status, const std::string& body) {
  if (status == 401) return true;
  const auto answer = parse(body);
  return answer && (number_at(*answer, "code") == unauthenticated ||
                    text_at(*answer, "error").find("user name is empty") != std::string::npos);
}

bool is_compacted(const Failure& failure) {
  return failure.refused && failure.text.find("has been compacted") != std::string::npos;
}

Failure to_failure(unsigned status, const std::string& body) {
  const auto answer = parse(body);
  const auto text = answer ? text_at(*answer, "error") : std::string();
  if (text.empty()) return {fmt::format("it answers with status {}", status), true, false};
  if (text.find("database space exceeded") != std::string::npos) {
    return {"etcd is full (NOSPACE): compact and defragment it, then etcdctl alarm disarm", false,
            true};
  }
  const auto code = number_at(*answer, "code");
  const bool refused = code == invalid_argument || code == permission_denied ||
                       code == resource_exhausted || code == failed_precondition ||
                       code == out_of_range || code == unauthenticated;
  return {text, !refused, refused};
}

}  // namespace sluice::fleet::gateway
