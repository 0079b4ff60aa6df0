// TLS: the server's side of it, from a certificate and a key.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.hpp"

namespace boost::asio::ssl {
class context;
}

namespace sluice::api {

// The context of TLS 1.2 and later for a server that shows this certificate (PEM, its chain behind
// it). Both files are read now, not later.
Result<std::shared_ptr<boost::asio::ssl::context>> make_tls(
    const std::filesystem::path& certificate, const std::filesystem::path& key);

}  // namespace sluice::api
