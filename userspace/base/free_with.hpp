// FreeWith: the deleter of a std::unique_ptr whose object a C library frees by a function.
#pragma once

namespace sluice {

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace sluice
