// Mean and variance of every channel, in one pass over memory.

#pragma once

#include "xla/ffi/api/ffi.h"

namespace convrunner {

// x (…, rows, channels), float32 or bfloat16, → mean and biased variance (…, channels), float32. The axes before the
// last two are members of a vmap; a member gets the same bits alone and among others.
// Source: Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115: blocks that fit the cache are centred on
// their own mean and then joined, so that no precision is lost if the mean is large.
void moments(xla::ffi::ThreadPool& pool, const xla::ffi::AnyBuffer& x, xla::ffi::AnyBuffer& mean,
             xla::ffi::AnyBuffer& variance);

}  // namespace convrunner
