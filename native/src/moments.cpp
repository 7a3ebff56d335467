#include "moments.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "members.h"
#include "threads.h"

// Compiled for several CPUs; the loader chooses. Baseline x86-64 has registers of only four floats.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

namespace convrunner {

namespace ffi = xla::ffi;

namespace {

constexpr int64_t kBlockElements = 8192;  // 32 KiB of float32
constexpr int64_t kBlockRows = 256;       // rows added consecutively; more would lose precision
constexpr int64_t kNarrow = 64;           // with fewer channels, several rows are processed together

// A matrix cut into parts, and a part into blocks. Few channels would not fill a register, so several rows are then
// processed together as lanes, whose sums are joined at the end.
struct Cut {
  int64_t channels, rows, lanes, long_rows, parts;

  Cut(const Array& x, int64_t threads) : channels(x.axes[1]), rows(x.axes[0]) {
    int64_t together = 1;
    while (channels * together * 2 <= kNarrow && rows % (together * 2) == 0) together *= 2;
    lanes = channels * together;
    long_rows = rows / together;
    parts = std::clamp<int64_t>(rows * channels / (4 * kBlockElements), 1, std::max<int64_t>(threads, 1));
  }

  // Calls `block(first, rows)` for the blocks of a part, in order.
  template <typename F>
  void for_each_block(int64_t part, const F& block) const {
    const int64_t most = std::clamp<int64_t>(kBlockElements / lanes, 1, kBlockRows);
    const int64_t begin = long_rows * part / parts, end = long_rows * (part + 1) / parts;
    for (int64_t first = begin; first < end; first += most) block(first, std::min(most, end - first));
  }
};

FOR_EACH_CPU void widen(const uint16_t* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = static_cast<uint32_t>(from[i]) << 16;
    std::memcpy(to + i, &bits, sizeof(bits));
  }
}

// The values of a block: in place, or converted to float32 in `room`.
const float* block_values(const Array& array, const char* share, int64_t first, int64_t count,
                          std::vector<float>& room) {
  if (!array.bfloat16) return reinterpret_cast<const float*>(share) + first;
  room.resize(count);
  widen(reinterpret_cast<const uint16_t*>(share) + first, count, room.data());
  return room.data();
}

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

}  // namespace

void moments(ffi::ThreadPool& pool, const ffi::AnyBuffer& x, ffi::AnyBuffer& mean, ffi::AnyBuffer& variance) {
  const Array array(x, 2);
  const int64_t members = product(array.members);
  if (members * array.share_bytes == 0) return;
  const Cut cut(array, pool.num_threads());
  std::vector<Moments> found(members * cut.parts, Moments(0));
  for_each_part(pool, members * cut.parts, [&](int64_t i) {
    const char* share = array.of(i / cut.parts, array.members);
    Moments all(cut.lanes);
    std::vector<float> block_mean(cut.lanes), squares(cut.lanes), room;
    cut.for_each_block(i % cut.parts, [&](int64_t first, int64_t rows) {
      const float* values = block_values(array, share, first * cut.lanes, rows * cut.lanes, room);
      block_moments(values, rows, cut.lanes, block_mean.data(), squares.data());
      all.join(static_cast<double>(rows), block_mean.data(), squares.data(), cut.lanes);
    });
    found[i] = std::move(all);
  });
  for (int64_t member = 0; member < members; ++member) {
    Moments all(cut.channels);
    for (int64_t part = 0; part < cut.parts; ++part) {
      const Moments& one = found[member * cut.parts + part];
      for (int64_t lane = 0; lane < cut.lanes && one.count > 0; lane += cut.channels) {
        all.join(one.count, one.mean.data() + lane, one.squares.data() + lane, cut.channels);
      }
    }
    std::copy_n(all.mean.data(), cut.channels, mean.typed_data<float>() + member * cut.channels);
    for (int64_t i = 0; i < cut.channels; ++i) {
      variance.typed_data<float>()[member * cut.channels + i] = all.squares[i] / static_cast<float>(cut.rows);
    }
  }
}

}  // namespace convrunner
