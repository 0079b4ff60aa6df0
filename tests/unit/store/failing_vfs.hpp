// FailingVfs: SQLite's own file system, in which the n-th call that writes, syncs or truncates
// fails as on a broken disk. The default one for connections that are opened while it lives.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstring>
#include <new>

namespace sluice::test {

class FailingVfs {
 public:
  FailingVfs() {
    instance() = this;
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "failing";
    vfs_.szOsFile = static_cast<int>(offset) + real_->szOsFile;
    vfs_.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      auto* self = instance();
      auto* outer = new (file) File{};
      const int code = self->real_->xOpen(self->real_, name, inner(file), flags, out);
      if (code == SQLITE_OK) outer->base.pMethods = self->methods_of(*inner(file)->pMethods);
      return code;
    };
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FailingVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  FailingVfs(const FailingVfs&) = delete;
  FailingVfs& operator=(const FailingVfs&) = delete;

  // Makes the call with this number fail (counted from 1; 0: none), and only that one.
  void fail_at(std::size_t number) {
    calls_ = 0;
    failing_ = number;
  }
  std::size_t calls() const { return calls_; }

 private:
  struct File {
    sqlite3_file base{};
  };
  static constexpr std::size_t offset = (sizeof(File) + 15) & ~std::size_t{15};

  static FailingVfs*& instance() {
    static FailingVfs* one = nullptr;
    return one;
  }
  static sqlite3_file* inner(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + offset);
  }
  static bool fails() { return ++instance()->calls_ == instance()->failing_; }

  // Passes everything on to the real file. It has version 1 only, which is enough for exclusive
  // locking.
  const sqlite3_io_methods* methods_of(const sqlite3_io_methods&) {
    methods_.iVersion = 1;
    methods_.xClose = [](sqlite3_file* f) { return inner(f)->pMethods->xClose(inner(f)); };
    methods_.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
      return inner(f)->pMethods->xRead(inner(f), to, size, at);
    };
    methods_.xWrite = [](sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
      if (fails()) return SQLITE_IOERR_WRITE;
      return inner(f)->pMethods->xWrite(inner(f), from, size, at);
    };
    methods_.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
      if (fails()) return SQLITE_IOERR_TRUNCATE;
      return inner(f)->pMethods->xTruncate(inner(f), size);
    };
    methods_.xSync = [](sqlite3_file* f, int flags) {
      if (fails()) return SQLITE_IOERR_FSYNC;
      return inner(f)->pMethods->xSync(inner(f), flags);
    };
    methods_.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return inner(f)->pMethods->xFileSize(inner(f), size);
    };
    methods_.xLock = [](sqlite3_file* f, int level) {
      return inner(f)->pMethods->xLock(inner(f), level);
    };
    methods_.xUnlock = [](sqlite3_file* f, int level) {
      return inner(f)->pMethods->xUnlock(inner(f), level);
    };
    methods_.xCheckReservedLock = [](sqlite3_file* f, int* out) {
      return inner(f)->pMethods->xCheckReservedLock(inner(f), out);
    };
    methods_.xFileControl = [](sqlite3_file* f, int operation, void* argument) {
      return inner(f)->pMethods->xFileControl(inner(f), operation, argument);
    };
    methods_.xSectorSize = [](sqlite3_file* f) {
      return inner(f)->pMethods->xSectorSize(inner(f));
    };
    methods_.xDeviceCharacteristics = [](sqlite3_file* f) {
      return inner(f)->pMethods->xDeviceCharacteristics(inner(f));
    };
    return &methods_;
  }

  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
  sqlite3_io_methods methods_{};
  std::size_t calls_ = 0, failing_ = 0;
};

}  // namespace sluice::test
