#include "moments.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

#include "threads.h"

// Compiled for several CPUs; the loader picks. Baseline x86-64 has registers of four floats.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

namespace convrunner {

namespace ffi = xla::ffi;

namespace {

constexpr int64_t kBlockElements = 8192;  // 32 KiB of float32
constexpr int64_t kBlockRows = 256;       // added one after the other, more would lose digits
constexpr int64_t kNarrow = 64;           // fewer channels than this are taken several rows at a time

// Moments of `count` numbers in each of several lanes: their mean, and the sum of squares around it.
struct Moments {
  double count = 0;
  std::vector<float> mean, squares;

  explicit Moments(int64_t lanes) : mean(lanes), squares(lanes) {}

  // Joins the moments of `other_count` further numbers.
  void join(double other_count, const float* other_mean, const float* other_squares, int64_t lanes) {
    const double all = count + other_count;
    const float share = static_cast<float>(other_count / all);
    const float weight = static_cast<float>(count * other_count / all);
    for (int64_t i = 0; i < lanes; ++i) {
      const float apart = other_mean[i] - mean[i];
      mean[i] += apart * share;
      squares[i] += other_squares[i] + apart * apart * weight;
    }
    count = all;
  }
};

FOR_EACH_CPU void block_moments(const float* x, int64_t rows, int64_t lanes, float* __restrict mean,
                                float* __restrict squares) {
  std::fill_n(mean, lanes, 0.0f);
  std::fill_n(squares, lanes, 0.0f);
  for (int64_t row = 0; row < rows; ++row) {
    const float* values = x + row * lanes;
    for (int64_t i = 0; i < lanes; ++i) mean[i] += values[i];
  }
  const float share = 1.0f / static_cast<float>(rows);
  for (int64_t i = 0; i < lanes; ++i) mean[i] *= share;
  for (int64_t row = 0; row < rows; ++row) {
    const float* values = x + row * lanes;
    for (int64_t i = 0; i < lanes; ++i) squares[i] += (values[i] - mean[i]) * (values[i] - mean[i]);
  }
}

FOR_EACH_CPU void widen(const uint16_t* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = static_cast<uint32_t>(from[i]) << 16;
    std::memcpy(to + i, &bits, sizeof(bits));
  }
}

// Moments of rows [begin, end) of a matrix of `lanes` columns, block by block.
Moments rows_moments(const ffi::AnyBuffer& x, int64_t offset, int64_t begin, int64_t end, int64_t lanes) {
  const bool narrow = x.element_type() == ffi::DataType::BF16;
  const int64_t block = std::clamp<int64_t>(kBlockElements / lanes, 1, kBlockRows);
  Moments all(lanes);
  std::vector<float> mean(lanes), squares(lanes), wide(narrow ? block * lanes : 0);
  for (int64_t row = begin; row < end; row += block) {
    const int64_t rows = std::min(block, end - row), first = offset + row * lanes;
    const float* values = static_cast<const float*>(x.untyped_data()) + (narrow ? 0 : first);
    if (narrow) {
      widen(static_cast<const uint16_t*>(x.untyped_data()) + first, rows * lanes, wide.data());
      values = wide.data();
    }
    block_moments(values, rows, lanes, mean.data(), squares.data());
    all.join(static_cast<double>(rows), mean.data(), squares.data(), lanes);
  }
  return all;
}

}  // namespace

void moments(ffi::ThreadPool& pool, const ffi::AnyBuffer& x, float* mean, float* variance) {
  const auto axes = x.dimensions();
  const int64_t channels = axes[axes.size() - 1], rows = axes[axes.size() - 2];
  const int64_t members = std::accumulate(axes.begin(), axes.end() - 2, int64_t{1}, std::multiplies<int64_t>());
  if (members * rows * channels == 0) return;
  // Few channels would not fill a register: `together` rows lie side by side as lanes, and are joined in the end.
  int64_t together = 1;
  while (channels * together * 2 <= kNarrow && rows % (together * 2) == 0) together *= 2;
  const int64_t lanes = channels * together, long_rows = rows / together;
  const int64_t parts = std::clamp<int64_t>(rows * channels / (4 * kBlockElements), 1, std::max<int64_t>(pool.num_threads(), 1));

  std::vector<Moments> found(members * parts, Moments(0));
  for_each_part(pool, members * parts, [&](int64_t i) {
    const int64_t part = i % parts, begin = long_rows * part / parts, end = long_rows * (part + 1) / parts;
    found[i] = rows_moments(x, i / parts * rows * channels, begin, end, lanes);
  });
  for (int64_t member = 0; member < members; ++member) {
    Moments all(channels);
    for (int64_t part = 0; part < parts; ++part) {
      const Moments& one = found[member * parts + part];
      for (int64_t lane = 0; lane < lanes && one.count > 0; lane += channels) {
        all.join(one.count, one.mean.data() + lane, one.squares.data() + lane, channels);
      }
    }
    std::copy_n(all.mean.data(), channels, mean + member * channels);
    for (int64_t i = 0; i < channels; ++i) {
      variance[member * channels + i] = all.squares[i] / static_cast<float>(rows);
    }
  }
}

}  // namespace convrunner
