// TLS: makes a server's context from a certificate and a key.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace boost::asio::ssl {
class context;
}

namespace sluice::api {

// Makes a context of TLS 1.2 and later with forward secrecy, for a server with this certificate
// (PEM, followed by its chain). With `client_ca` (PEM; empty: none) clients may show a certificate,
// which one of these must have signed. The files are read during this call.
Result<std::shared_ptr<boost::asio::ssl::context>> make_tls(
    const std::filesystem::path& certificate, const std::filesystem::path& key,
    const std::filesystem::path& client_ca = {});

// The DNS names of the context's certificate, including wildcards such as "*.example.org".
std::vector<std::string> certificate_names(boost::asio::ssl::context& context);

// When the first certificate of the context's chain ends; nullopt: it has none, or no readable end.
std::optional<std::chrono::system_clock::time_point> certificate_end(
    boost::asio::ssl::context& context);

}  // namespace sluice::api
