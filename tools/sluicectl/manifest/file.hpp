// Manifest files: YAML, one document.
#pragma once

#include <string>

#include "base/result.hpp"
#include "sluicectl/manifest/item.hpp"

namespace sluice::ctl {

// Reads what write_manifest() writes. An error names the file, the line, the field and the value.
Result<Item> read_manifest(const std::string& file, const std::string& text);

std::string write_manifest(const Item& document);

// "lb.yaml:14: member 10.0.0.4:80: weight '257': "
std::string place(const std::string& file, const Item& item, const std::string& field);

}  // namespace sluice::ctl
