// Convolutions of whole batches, in parts on XLA's threads.

#include "batches.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "convolution.h"
#include "members.h"
#include "threads.h"

namespace convrunner {

namespace {

constexpr int64_t kMostGradients = int64_t{1} << 26;  // elements of partial gradients held at once
constexpr int64_t kSliceElements = int64_t{1} << 15;  // one thread adds fewer elements faster than two

// x and y are the axes of a member's images and outputs; `window` is stride, dilation, low and high, h before w.
Geometry geometry(const int64_t* x, const int64_t* kernel, const int64_t* y, Numbers window, int64_t groups,
                  bool bfloat16) {
  Geometry g{};
  g.n = x[0], g.h = x[1], g.w = x[2], g.c = x[3];
  g.output_h = y[1], g.output_w = y[2], g.filters = y[3];
  g.kernel_h = kernel[0], g.kernel_w = kernel[1], g.groups = groups;
  g.stride_h = window[0], g.stride_w = window[1], g.dilation_h = window[2], g.dilation_w = window[3];
  g.low_h = window[4], g.low_w = window[5], g.high_h = window[6], g.high_w = window[7];
  g.bfloat16 = bfloat16;
  return g;
}

// A batch cut into parts whose sizes differ by at most one, the larger first. Each of the two sizes has a plan; both plans
// use the same kernel layout.
struct Cut {
  int64_t parts, size, larger;
  std::shared_ptr<const Plan> plans[2];

  Cut(Pass pass, Geometry g, int64_t most) {
    parts = std::clamp<int64_t>(most, 1, g.n);
    size = g.n / parts;
    larger = g.n % parts;
    g.n = size;
    plans[0] = plan(pass, g);
    g.n = size + 1;
    if (larger > 0) plans[1] = plan(pass, g, size);
  }
  const Plan& plan_of(int64_t part) const { return *plans[part < larger]; }
  int64_t first(int64_t part) const { return part * size + std::min(part, larger); }
};

// The kernels of all members in the layout of a plan.
class Kernels {
 public:
  Kernels(ffi::ThreadPool& pool, const Plan& plan, const ffi::AnyBuffer& buffer)
      : array_(buffer, 4), data_(array_.data), share_bytes_(array_.share_bytes) {
    if (plan.kernel_bytes() == 0) return;
    share_bytes_ = (plan.kernel_bytes() + 63) / 64 * 64;
    const int64_t shares = product(array_.members);
    char* arranged = static_cast<char*>(lasting_memory(Purpose::kKernel, share_bytes_ * shares));
    for_each_part(pool, shares, [&](int64_t i) {
      plan.arrange_kernel(data_ + i * array_.share_bytes, arranged + i * share_bytes_);
    });
    data_ = arranged;
  }

  const void* of(int64_t member, const std::vector<int64_t>& counts) const {
    return data_ + array_.share(member, counts) * share_bytes_;
  }

 private:
  Array array_;
  const char* data_;
  int64_t share_bytes_;
};

// Adds the gradients of all parts to that of the first, in the same order on any thread.
void add_up(ffi::ThreadPool& pool, float* gradients, int64_t members, int64_t parts, int64_t elements) {
  if (parts == 1) return;
  const int64_t slices = std::clamp<int64_t>(elements / kSliceElements, 1, pool.num_threads());
  for_each_part(pool, members * slices, [&](int64_t i) {
    const int64_t slice = i % slices, begin = elements * slice / slices, end = elements * (slice + 1) / slices;
    float* sum = gradients + i / slices * parts * elements;
    for (int64_t part = 1; part < parts; ++part) {
      const float* other = sum + part * elements;
      for (int64_t k = begin; k < end; ++k) sum[k] += other[k];
    }
  });
}

}  // namespace

void forward(ffi::ThreadPool& pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& kernel, ffi::AnyBuffer& y,
             Numbers window, int64_t groups) {
  const Array images(x, 4), outputs(y, 4), taps(kernel, 4);
  const int64_t members = product(outputs.members);
  if (members * outputs.share_bytes == 0) return;
  const Geometry g = geometry(images.axes, taps.axes, outputs.axes, window, groups, images.bfloat16);
  const Cut cut(Pass::kForward, g, pool.num_threads());
  const Kernels kernels(pool, *cut.plans[0], kernel);
  const int64_t image_bytes = images.share_bytes / g.n, output_bytes = outputs.share_bytes / g.n;
  for_each_part(pool, members * cut.parts, [&](int64_t i) {
    const int64_t member = i / cut.parts, part = i % cut.parts, first = cut.first(part);
    cut.plan_of(part).forward(images.of(member, outputs.members) + first * image_bytes,
                              kernels.of(member, outputs.members),
                              outputs.data + member * outputs.share_bytes + first * output_bytes);
  });
}

void input_gradient(ffi::ThreadPool& pool, const ffi::AnyBuffer& g, const ffi::AnyBuffer& kernel, ffi::AnyBuffer& dx,
                    Numbers window, int64_t groups) {
  const Array outputs(g, 4), images(dx, 4), taps(kernel, 4);
  const int64_t members = product(images.members);
  if (members * images.share_bytes == 0) return;
  const Geometry whole = geometry(images.axes, taps.axes, outputs.axes, window, groups, images.bfloat16);
  const Cut cut(Pass::kInputGradient, whole, pool.num_threads());
  const Kernels kernels(pool, *cut.plans[0], kernel);
  const int64_t image_bytes = images.share_bytes / whole.n, output_bytes = outputs.share_bytes / whole.n;
  for_each_part(pool, members * cut.parts, [&](int64_t i) {
    const int64_t member = i / cut.parts, part = i % cut.parts, first = cut.first(part);
    cut.plan_of(part).input_gradient(outputs.of(member, images.members) + first * output_bytes,
                                     kernels.of(member, images.members),
                                     images.data + member * images.share_bytes + first * image_bytes);
  });
}

void kernel_gradient(ffi::ThreadPool& pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& g, ffi::AnyBuffer& dk,
                     Numbers window, int64_t groups) {
  const Array images(x, 4), outputs(g, 4), taps(dk, 4);
  const int64_t members = product(taps.members);
  if (members * taps.share_bytes == 0) return;
  const Geometry whole = geometry(images.axes, taps.axes, outputs.axes, window, groups, images.bfloat16);
  const Cut cut(Pass::kKernelGradient, whole, pool.num_threads());
  const int64_t image_bytes = images.share_bytes / whole.n, output_bytes = outputs.share_bytes / whole.n;
  const int64_t elements = (static_cast<int64_t>(cut.plans[0]->gradient_elements()) + 15) / 16 * 16;
  const int64_t own_elements = cut.parts * elements;
  const int64_t at_once = std::clamp<int64_t>(kMostGradients / own_elements, 1, members);
  float* gradients = static_cast<float*>(lasting_memory(Purpose::kGradients, at_once * own_elements * sizeof(float)));
  for (int64_t begin = 0; begin < members; begin += at_once) {
    const int64_t now = std::min(at_once, members - begin);
    for_each_part(pool, now * cut.parts, [&](int64_t i) {
      const int64_t member = begin + i / cut.parts, part = i % cut.parts, first = cut.first(part);
      cut.plan_of(part).kernel_gradient(images.of(member, taps.members) + first * image_bytes,
                                        outputs.of(member, taps.members) + first * output_bytes,
                                        gradients + i * elements);
    });
    add_up(pool, gradients, now, cut.parts, elements);
    for_each_part(pool, now, [&](int64_t i) {
      cut.plans[0]->restore_kernel(gradients + i * own_elements, taps.data + (begin + i) * taps.share_bytes);
    });
  }
}

}  // namespace convrunner
