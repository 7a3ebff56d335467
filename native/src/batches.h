// Convolutions of whole batches, in parts on XLA's threads.
//
// Arrays lie in row order: x (…, n, h, w, c), kernel (…, kernel_h, kernel_w, c / groups, filters), y and g
// (…, n, output_h, output_w, filters). The leading axes are members of a vmap; an operand shared by all members has an axis
// of one element. How a member's batch is cut depends only on the batch and the number of threads, so that a member
// computes the same bits alone, among others, and in every call.

#pragma once

#include <cstdint>

#include "xla/ffi/api/ffi.h"

namespace convrunner {

namespace ffi = xla::ffi;

// Stride, dilation, and padding before and after, each for h and then for w.
using Numbers = ffi::Span<const int64_t>;

void forward(ffi::ThreadPool& pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& kernel, ffi::AnyBuffer& y,
             Numbers window, int64_t groups);

void input_gradient(ffi::ThreadPool& pool, const ffi::AnyBuffer& g, const ffi::AnyBuffer& kernel, ffi::AnyBuffer& dx,
                    Numbers window, int64_t groups);

void kernel_gradient(ffi::ThreadPool& pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& g, ffi::AnyBuffer& dk,
                     Numbers window, int64_t groups);

}  // namespace convrunner
