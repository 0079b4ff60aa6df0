// Files: what the status page is made of, compiled into the program. So page and data are always of
// one version, a package has nothing more to install, and sluiced needs no file system for it.
#pragma once

#include <string_view>

namespace sluice::api {

struct PageFile {
  std::string_view name;     // below /ui/; empty: the page itself
  std::string_view type;     // Content-Type
  std::string_view content;  //
  std::string_view tag;      // the content's ETag
};

// Null: there is none of this name.
const PageFile* find_page_file(std::string_view name);

}  // namespace sluice::api
