// Pieces: the body of a long answer, which is made while it is sent. Nobody ever holds all of it,
// and the event loop has other turns between two pieces.
#pragma once

#include <string>

namespace sluice::api {

class Pieces {
 public:
  Pieces() = default;
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;
  virtual ~Pieces() = default;

  // Appends the next piece, which may be empty; returns whether it was the last one. The client may
  // be gone before that, or take its time: what the pieces are made of must live until this object
  // ends.
  virtual bool append_next(std::string& out) = 0;
};

}  // namespace sluice::api
