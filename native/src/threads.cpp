#include "threads.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>

namespace convrunner {

namespace {

struct Progress {
  std::mutex mutex;
  std::condition_variable all_done;
  int64_t next = 0;
  int64_t done = 0;
  std::exception_ptr failure;
};

// Takes parts until none is left. A helper that starts late finds none, and then uses only `progress`.
void work(Progress& progress, int64_t count, const std::function<void(int64_t)>& part) {
  std::unique_lock<std::mutex> lock(progress.mutex);
  while (progress.next < count) {
    const int64_t mine = progress.next++;
    lock.unlock();
    std::exception_ptr failure;
    try {
      part(mine);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (failure && !progress.failure) progress.failure = failure;
    if (++progress.done == count) progress.all_done.notify_all();
  }
}

// OpenMP's functions from the library that oneDNN has loaded; another OpenMP library has its own settings.
struct OpenMP {
  int (*get_max_threads)();
  void (*set_num_threads)(int);

  OpenMP() {
    void* library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (!library) throw std::runtime_error("oneDNN has not loaded libgomp.so.1");
    get_max_threads = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_max_threads"));
    set_num_threads = reinterpret_cast<void (*)(int)>(dlsym(library, "omp_set_num_threads"));
  }
};

const OpenMP& openmp() {
  static const OpenMP functions;
  return functions;
}

struct Freed {
  void operator()(void* memory) const { std::free(memory); }
};

struct Block {
  std::unique_ptr<void, Freed> memory;
  size_t bytes = 0;
};

}  // namespace

void for_each_part(xla::ffi::ThreadPool& pool, int64_t count, const std::function<void(int64_t)>& part) {
  const int64_t helpers = std::min<int64_t>(count, std::max<int64_t>(pool.num_threads(), 1)) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) part(i);
    return;
  }
  auto progress = std::make_shared<Progress>();
  for (int64_t i = 0; i < helpers; ++i) {
    pool.Schedule([progress, count, &part] { work(*progress, count, part); });
  }
  work(*progress, count, part);
  std::unique_lock<std::mutex> lock(progress->mutex);
  progress->all_done.wait(lock, [&] { return progress->done == count; });
  if (progress->failure) std::rethrow_exception(progress->failure);
}

// OpenMP stores the number of threads for each thread; it is restored, because the thread may be Python's.
SingleThreaded::SingleThreaded() : before_(openmp().get_max_threads()) { openmp().set_num_threads(1); }
SingleThreaded::~SingleThreaded() { openmp().set_num_threads(before_); }

void* lasting_memory(Purpose purpose, size_t bytes) {
  thread_local std::array<Block, 3> blocks;
  Block& block = blocks[static_cast<size_t>(purpose)];
  if (block.bytes < bytes) {
    const size_t whole = (bytes + 4095) / 4096 * 4096;
    block.memory.reset();
    block.memory.reset(std::aligned_alloc(4096, whole));
    block.bytes = block.memory ? whole : 0;
    if (!block.memory) throw std::bad_alloc();
  }
  return block.memory.get();
}

}  // namespace convrunner
