// Arrays of the members of a vmap.

#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace convrunner {

inline int64_t product(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{1}, std::multiplies<int64_t>());
}

// An array with one entry for each member of a vmap; an array shared by all members has an axis of one element.
struct Array {
  const int64_t* axes;
  std::vector<int64_t> members;
  bool bfloat16;
  int64_t element_bytes, share_bytes;
  char* data;

  Array(const xla::ffi::AnyBuffer& buffer, size_t own_axes)
      : bfloat16(buffer.element_type() == xla::ffi::DataType::BF16),
        element_bytes(bfloat16 ? 2 : 4),
        data(static_cast<char*>(buffer.untyped_data())) {
    const auto dims = buffer.dimensions();
    axes = dims.end() - own_axes;
    members.assign(dims.begin(), axes);
    share_bytes = std::accumulate(axes, dims.end(), element_bytes, std::multiplies<int64_t>());
  }

  // The index of a member's array, for `counts` members along each axis.
  int64_t share(int64_t member, const std::vector<int64_t>& counts) const {
    int64_t place = 0, step = 1;
    for (size_t axis = members.size(); axis-- > 0; member /= counts[axis]) {
      if (members[axis] > 1) place += member % counts[axis] * step;
      step *= members[axis];
    }
    return place;
  }

  char* of(int64_t member, const std::vector<int64_t>& counts) const {
    return data + share(member, counts) * share_bytes;
  }
};

}  // namespace convrunner
