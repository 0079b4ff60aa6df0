// HTTP with libcurl, which no other file knows. Each request is one transfer with one deadline for
// resolving, connecting, handshake, writing and reading together.
#include "sluicectl/transport/http.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <boost/url/parse.hpp>
#include <cerrno>
#include <filesystem>

namespace sluice::ctl {
namespace {

constexpr std::size_t max_answer_bytes = 64 << 20;

std::string group_of(const std::filesystem::path& path) {
  struct stat status;
  // A user who may not enter the directory needs the directory's group.
  if (::stat(path.c_str(), &status) != 0 && ::stat(path.parent_path().c_str(), &status) != 0)
    return "sluice";
  const auto* group = ::getgrgid(status.st_gid);
  return group ? group->gr_name : fmt::format("{}", status.st_gid);
}

// libcurl's description of a failed transfer.
struct Failure {
  CURLcode code = CURLE_OK;
  int system_errno = 0;  // of connecting; 0 when the kernel refused nothing
  bool too_large = false;
  std::string details;  // may be empty
};

// Rewords the library's texts ("Timeout was reached", "Empty reply from server").
std::string reason(const Failure& failure) {
  if (failure.too_large)
    return fmt::format("the answer is larger than {} MiB", max_answer_bytes >> 20);
  const auto details =
      failure.details.empty() ? std::string(curl_easy_strerror(failure.code)) : failure.details;
  switch (failure.code) {
    case CURLE_OPERATION_TIMEDOUT:
      return "no answer in time";
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return "the connection was closed before an answer came";
    case CURLE_PARTIAL_FILE:
      return "the answer was cut short";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return "what answers does not speak HTTP (" + details + ")";
    case CURLE_COULDNT_RESOLVE_HOST:
      return "there is no host of that name";
    case CURLE_COULDNT_CONNECT:
      if (failure.system_errno == ECONNREFUSED) return "connection refused";
      if (failure.system_errno == ENOENT) return "no such file";
      if (failure.system_errno != 0) return std::generic_category().message(failure.system_errno);
      return details;
    default:
      return details;
  }
}

bool is_about_tls(CURLcode code) {
  return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
         code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM ||
         code == CURLE_SSL_CIPHER || code == CURLE_SSL_ISSUER_ERROR;
}

tl::unexpected<Error> no_permission(const std::string& socket, int error) {
  const auto group = group_of(socket);
  if (group == "root")
    return tl::unexpected(Error{
        ErrorKind::system, fmt::format("no permission to use {}: it is for root only", socket),
        "use sudo; sluiced gives it to the group 'sluice' where there is one", error});
  return tl::unexpected(Error{
      ErrorKind::system,
      fmt::format("no permission to use {}: it is for root and the group '{}'", socket, group),
      fmt::format("join with 'sudo usermod -aG {} \"$USER\"' and log in again, or use sudo", group),
      error});
}

tl::unexpected<Error> unreachable(const Endpoint& endpoint, const Failure& failure) {
  const bool on_tcp = !endpoint.host.empty();
  if (!on_tcp && failure.system_errno == EACCES)
    return no_permission(endpoint.socket, failure.system_errno);
  const auto where = on_tcp ? endpoint.host + ":" + endpoint.port : endpoint.socket;
  const bool nobody_there = failure.system_errno == ECONNREFUSED || failure.system_errno == ENOENT;
  const std::string hint =
      endpoint.tls && is_about_tls(failure.code)
          ? "check --endpoint, and --cacert where the certificate is the site's own"
      : on_tcp ? "check --endpoint, and that sluiced was started with --listen"
      : nobody_there
          ? "start it with 'sudo sluiced', or pass --socket"
          : "if it is sluiced that listens there, its log tells more; else pass --socket";
  return tl::unexpected(Error{ErrorKind::system,
                              fmt::format("no sluiced answers on {}: {}", where, reason(failure)),
                              hint, failure.system_errno});
}

// Has any part of the request been sent? What was not can't have been carried out.
bool was_sent(CURL* curl) {
  long bytes = 0;
  return curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &bytes) == CURLE_OK && bytes > 0;
}

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;

struct FreeHeaders {
  void operator()(curl_slist* headers) const { curl_slist_free_all(headers); }
};
using Headers = std::unique_ptr<curl_slist, FreeHeaders>;

void add(Headers& headers, const std::string& line) {
  if (auto* longer = curl_slist_append(headers.get(), line.c_str())) {
    headers.release();
    headers.reset(longer);
  }
}

// Takes bytes from libcurl; returning fewer than offered ends the transfer.
std::size_t receive(char* data, std::size_t, std::size_t size, void* destination) {
  auto& body = *static_cast<std::string*>(destination);
  if (size > max_answer_bytes - body.size()) return 0;
  body.append(data, size);
  return size;
}

class CurlTransport : public Transport {
 public:
  CurlTransport(Endpoint endpoint, std::string token)
      : endpoint_(std::move(endpoint)), token_(std::move(token)) {}

  Result<HttpAnswer> exchange(const HttpRequest& request) override {
    if (endpoint_.socket.size() >= sizeof(sockaddr_un::sun_path))
      return fail(ErrorKind::system,
                  "the socket's path '" + endpoint_.socket + "' is longer than the kernel allows",
                  "pass a shorter --socket");
    const Handle handle(curl_easy_init());
    if (!handle) return fail(ErrorKind::internal, "libcurl does not start");
    auto* const curl = handle.get();
    std::array<char, CURL_ERROR_SIZE> details{};
    HttpAnswer answer;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, details.data());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
    aim(curl);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     static_cast<long>(std::chrono::milliseconds(request.limit).count()));
    const auto headers = load(curl, request);

    const auto code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
      long refused = 0;
      if (code == CURLE_COULDNT_CONNECT) curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &refused);
      const Failure failure{code, static_cast<int>(refused), code == CURLE_WRITE_ERROR,
                            details.data()};
      if (!request.id.empty() && was_sent(curl)) return HttpAnswer{0, reason(failure), request.id};
      return unreachable(endpoint_, failure);
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    curl_header* id = nullptr;
    if (curl_easy_header(curl, "x-openstack-request-id", 0, CURLH_HEADER, -1, &id) == CURLHE_OK)
      answer.request_id = id->value;
    return answer;
  }

 private:
  // Sets the destination. Proxies and passwords of the environment and ~/.netrc are
  // ignored: they are meant for other programs.
  void aim(CURL* curl) const {
    curl_easy_setopt(curl, CURLOPT_URL, origin().c_str());
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (endpoint_.host.empty())
      curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, endpoint_.socket.c_str());
    // The server's certificate must be for the host that was asked for (libcurl's default), and
    // signed by a CA that we trust. If a file is given, only its CAs are trusted.
    if (!endpoint_.cacert.empty()) {
      curl_easy_setopt(curl, CURLOPT_CAINFO, endpoint_.cacert.c_str());
      curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
    }
  }

  // Sets the request, which must outlive the transfer, as must the headers.
  Headers load(CURL* curl, const HttpRequest& request) const {
    Headers headers;
    add(headers, "Accept: application/json");
    add(headers, "Connection: close");
    if (!token_.empty()) add(headers, "X-Auth-Token: " + token_);
    if (!request.id.empty()) add(headers, "X-Openstack-Request-Id: " + request.id);
    const bool has_body =
        !request.body.empty() || request.method == "POST" || request.method == "PUT";
    if (has_body) {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
      add(headers,
          request.body.empty() ? "Content-Type:" : "Content-Type: " + request.content_type);
      add(headers, "Expect:");  // no round trip for "may I send it?"
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(curl, CURLOPT_REQUEST_TARGET, (endpoint_.prefix + request.target).c_str());
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluicectl");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    return headers;
  }

  std::string origin() const {
    if (endpoint_.host.empty()) return "http://localhost";
    const bool v6 = endpoint_.host.find(':') != std::string::npos;
    return fmt::format("{}://{}:{}", endpoint_.tls ? "https" : "http",
                       v6 ? "[" + endpoint_.host + "]" : endpoint_.host, endpoint_.port);
  }

  Endpoint endpoint_;
  std::string token_;
};

}  // namespace

Result<Endpoint> parse_endpoint(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  const std::string hint = "give http://HOST:PORT or https://HOST:PORT";
  if (!url || url->host().empty())
    return fail(ErrorKind::invalid, "the endpoint '" + text + "' is not a URL", hint);
  if (url->scheme() != "http" && url->scheme() != "https")
    return fail(ErrorKind::unsupported, "the endpoint '" + text + "' is neither http nor https",
                hint);
  Endpoint endpoint;
  endpoint.tls = url->scheme() == "https";
  endpoint.host = url->host_address();
  endpoint.port = url->has_port() && !url->port().empty() ? std::string(url->port())
                  : endpoint.tls                          ? "443"
                                                          : "80";
  endpoint.prefix = std::string(url->encoded_path());
  while (endpoint.prefix.ends_with('/')) endpoint.prefix.pop_back();
  if (endpoint.prefix.ends_with("/v2.0")) endpoint.prefix.resize(endpoint.prefix.size() - 5);
  return endpoint;
}

std::unique_ptr<Transport> make_transport(Endpoint endpoint, std::string token) {
  return std::make_unique<CurlTransport>(std::move(endpoint), std::move(token));
}

}  // namespace sluice::ctl
