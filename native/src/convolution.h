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

// The geometry of a convolution of images (n, h, w, c) with a kernel (kernel_h, kernel_w, c / groups, filters).
// Plans are cached by all of these members.
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
  // `like`, if given, is a plan whose kernel layout this plan uses.
  Plan(Pass pass, const Geometry& geometry, const Plan* like);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // The kernel in oneDNN's layout; no bytes if the given layout is used.
  size_t kernel_bytes() const { return reorder_ ? chosen_.get_size() : 0; }
  void arrange_kernel(const void* kernel, void* arranged) const;

  // `kernel` is the output of `arrange_kernel`.
  void forward(const void* x, const void* kernel, void* y) const;
  void input_gradient(const void* g, const void* kernel, void* dx) const;

  // A part's kernel gradient, `gradient_elements` float32 values in oneDNN's layout, and its conversion back.
  size_t gradient_elements() const { return chosen_.get_size() / sizeof(float); }
  void kernel_gradient(const void* x, const void* g, void* gradient) const;
  void restore_kernel(const void* gradient, void* kernel) const;

 private:
  void run(const dnnl::primitive& primitive, std::unordered_map<int, dnnl::memory> arguments) const;

  dnnl::memory::desc images_, outputs_, plain_, chosen_, scratchpad_, reorder_scratchpad_;
  dnnl::primitive convolution_;
  std::optional<dnnl::primitive> reorder_;
};

// oneDNN's name of its implementation, such as "brgconv:avx512_core". Throws dnnl::error if there is none.
std::string implementation(Pass pass, const Geometry& geometry);

// The plan of a geometry, made at its first use; it has the kernel layout of the plan for `like_n` images, if not 0.
// Throws dnnl::error if oneDNN has no implementation.
std::shared_ptr<const Plan> plan(Pass pass, const Geometry& geometry, int64_t like_n = 0);

}  // namespace convrunner
