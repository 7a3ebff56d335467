// Convolutions of part of a batch by oneDNN, on the calling thread: planned once for each shape, then executed.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "dnnl.hpp"

namespace convrunner {

// What a convolution is, of `n` images (n, h, w, c) under a kernel (kernel_h, kernel_w, c / groups, filters).
// Every member counts: a plan is found by all of them.
struct Geometry {
  int64_t n, h, w, c;
  int64_t output_h, output_w, filters;
  int64_t kernel_h, kernel_w, groups;
  int64_t stride_h, stride_w, dilation_h, dilation_w;
  int64_t low_h, low_w, high_h, high_w;
  int64_t bfloat16;  // 0 or 1
};

enum class Pass { kForward, kInputGradient, kKernelGradient };

// A convolution that is ready to run. It holds no data and may run in many threads at once.
class Plan {
 public:
  // `like` is a plan whose order of the kernel this one keeps, where it is given.
  Plan(Pass pass, const Geometry& geometry, const Plan* like);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // The kernel in the order that oneDNN wants; no bytes where it is taken as it comes.
  size_t kernel_bytes() const { return reorder_ ? chosen_.get_size() : 0; }
  void arrange_kernel(const void* kernel, void* arranged) const;

  // `kernel` as `arrange_kernel` leaves it.
  void forward(const void* x, const void* kernel, void* y) const;
  void input_gradient(const void* g, const void* kernel, void* dx) const;

  // A part's kernel gradient, float32 in oneDNN's own order, as many as `gradient_elements`; and the way back.
  size_t gradient_elements() const { return chosen_.get_size() / sizeof(float); }
  void kernel_gradient(const void* x, const void* g, void* gradient) const;
  void restore_kernel(const void* gradient, void* kernel) const;

 private:
  void run(const dnnl::primitive& primitive, std::unordered_map<int, dnnl::memory> arguments) const;

  dnnl::memory::desc images_, outputs_, plain_, chosen_, scratchpad_, reorder_scratchpad_;
  dnnl::primitive convolution_;
  std::optional<dnnl::primitive> reorder_;
};

// oneDNN's name of what would compute this, as in "brgconv:avx512_core". Throws dnnl::error where nothing would.
std::string implementation(Pass pass, const Geometry& geometry);

// The plan of a geometry, made at its first use; its kernel is in the order of that of `like_n` images, if not 0.
// Throws dnnl::error where oneDNN has none.
std::shared_ptr<const Plan> plan(Pass pass, const Geometry& geometry, int64_t like_n = 0);

}  // namespace convrunner
