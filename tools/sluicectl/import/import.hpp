// Import: configurations of other load balancers as a manifest for apply.
//
// A statement that has no counterpart becomes a comment with its line and the reason; no statement
// is dropped silently. The files are only read: includes are not followed, names are not resolved.
#pragma once

#include <string>

#include "base/result.hpp"

namespace sluice::ctl {

struct ImportSource {
  std::string file;  // for errors and comments
  std::string text;
  std::string vip = {};  // for services that listen on all addresses; empty: these are comments
};

// Each returns the manifest. An error says at which line the file can't be read at all.
Result<std::string> import_ipvs(const ImportSource& source);        // ipvsadm --save --numeric
Result<std::string> import_keepalived(const ImportSource& source);  // virtual servers
Result<std::string> import_haproxy(const ImportSource& source);     // proxies in TCP mode
Result<std::string> import_nginx(const ImportSource& source);       // the stream block

}  // namespace sluice::ctl
