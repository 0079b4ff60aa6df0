// Redaction: takes secrets out of texts that are handed to others. Pure.
//
// Sluice's own configuration names files of secrets and has none; its log has none either. But an
// operator's environment, unit or network may, so what looks like a secret goes, too.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

class Redaction {
 public:
  // Takes out this text wherever it stands. Short ones, which stand everywhere, are not learned.
  void learn(std::string_view secret);
  // Learns the secrets of a token file, a key or a hash key: the last word of each line.
  void learn_file(std::string_view text);

  // The text with "[taken out]" in place of what was learned, private keys (PEM), hashes of tokens
  // and passwords, long hexadecimal numbers, and values of names such as "password" and "token".
  std::string clean(std::string text) const;

 private:
  std::vector<std::string> secrets_;  // the longest first
};

// The files with secrets that a configuration of sluiced names, and `otherwise` for the hash key if
// it names none.
std::vector<std::string> secret_files(std::string_view configuration, std::string_view otherwise);

}  // namespace sluice::ctl
