// TLS: the server's side of it, from a certificate and a key.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace boost::asio::ssl {
class context;
}

namespace sluice::api {

// The context of TLS 1.2 and later for a server that shows this certificate (PEM, its chain behind
// it), with cipher suites that keep what was said secret even if the key gets out one day (forward
// secrecy). With `client_ca` (PEM; empty: none) clients may show a certificate, which one of these
// must have signed. The files are read now, not later.
Result<std::shared_ptr<boost::asio::ssl::context>> make_tls(
    const std::filesystem::path& certificate, const std::filesystem::path& key,
    const std::filesystem::path& client_ca = {});

// The DNS names that the context's certificate is for; "*.example.org" as it stands there.
std::vector<std::string> certificate_names(boost::asio::ssl::context& context);

}  // namespace sluice::api
