// Work in parts on XLA's own threads, with oneDNN single-threaded inside each part.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "xla/ffi/api/ffi.h"

namespace convrunner {

// Calls `part(0)` … `part(count − 1)` on the calling thread and on idle threads of the pool, and returns when all are done.
// The result of a part must not depend on its thread. The calling thread works too, and waits only for parts that have
// started, so that nested calls cannot deadlock. Throws the first exception of a part.
void for_each_part(xla::ffi::ThreadPool& pool, int64_t count, const std::function<void(int64_t)>& part);

// While it exists, oneDNN and all other users of OpenMP on this thread use one thread.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_;
};

// Permanent memory of this thread, as large as the largest request, so that steps cause no page faults.
enum class Purpose { kScratchpad, kKernel, kGradients };
void* lasting_memory(Purpose purpose, size_t bytes);

}  // namespace convrunner
