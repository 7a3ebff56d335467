// Work in parts on XLA's own threads, with oneDNN single-threaded inside each part.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "xla/ffi/api/ffi.h"

namespace convrunner {

// Calls `part(0)` … `part(count − 1)`, on the calling thread and on those threads of the pool that are free, and
// returns when all are done. What a part computes must not depend on who computes it. The caller works as well and
// waits only for parts that have begun, so that calls within the pool cannot lock each other out.
// Throws the first exception of a part.
void for_each_part(xla::ffi::ThreadPool& pool, int64_t count, const std::function<void(int64_t)>& part);

// Keeps oneDNN, and whatever else uses OpenMP on this thread, to one thread for as long as it lives.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_;
};

// Memory of this thread that lasts: as large as was ever asked for, so that steps touch no fresh pages.
enum class Purpose { kScratchpad, kKernel, kGradients };
void* lasting_memory(Purpose purpose, size_t bytes);

}  // namespace convrunner
