#include "convolution.h"

#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <unordered_map>

#include "threads.h"

namespace convrunner {

namespace {

using dnnl::algorithm;
using dnnl::memory;
using tag = dnnl::memory::format_tag;
using type = dnnl::memory::data_type;

// A limit for programs with thousands of shapes; plans in use stay valid after removal from the cache.
constexpr size_t kMostPlans = 4096;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

dnnl::stream& stream() {
  thread_local dnnl::stream own(engine());
  return own;
}

memory::dims kernel_dims(const Geometry& g) {
  const int64_t inputs = g.c / g.groups, filters = g.filters / g.groups;
  if (g.groups == 1) return {filters, inputs, g.kernel_h, g.kernel_w};
  return {g.groups, filters, inputs, g.kernel_h, g.kernel_w};
}

// (h, w, inputs, filters) in memory, described with the axes in oneDNN's order: groups, filters, inputs, h, w.
memory::desc plain_kernel(const Geometry& g, type dtype) {
  const int64_t inputs = g.c / g.groups, filters = g.filters / g.groups;
  memory::dims strides = {1, g.filters, g.kernel_w * inputs * g.filters, inputs * g.filters};
  if (g.groups > 1) strides.insert(strides.begin(), filters);
  return memory::desc(kernel_dims(g), dtype, strides);
}

// A geometry as oneDNN's descriptors.
struct Described {
  memory::desc images, outputs, plain, any_kernel, kernel, gradient;
  memory::dims strides, dilations, low, high;
  dnnl::primitive_attr attributes;

  explicit Described(const Geometry& g, const memory::desc* order = nullptr)
      : strides{g.stride_h, g.stride_w},
        dilations{g.dilation_h - 1, g.dilation_w - 1},
        low{g.low_h, g.low_w},
        high{g.high_h, g.high_w} {
    const type dtype = g.bfloat16 ? type::bf16 : type::f32;
    images = memory::desc({g.n, g.c, g.h, g.w}, dtype, tag::nhwc);
    outputs = memory::desc({g.n, g.filters, g.output_h, g.output_w}, dtype, tag::nhwc);
    plain = plain_kernel(g, dtype);
    any_kernel = memory::desc(kernel_dims(g), dtype, tag::any);
    kernel = order ? *order : any_kernel;
    // Gradients of parts are added, so they are float32 instead of bfloat16.
    gradient = order ? *order : memory::desc(kernel_dims(g), type::f32, tag::any);
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  }

  dnnl::convolution_forward::primitive_desc forward() const { return forward_with(kernel); }

  dnnl::convolution_backward_data::primitive_desc input_gradient() const {
    return {engine(), direct, images, kernel, outputs, strides, dilations, low, high, forward_with(any_kernel),
            attributes};
  }

  dnnl::convolution_backward_weights::primitive_desc kernel_gradient() const {
    return {engine(), direct, images, gradient, outputs, strides, dilations, low, high, forward_with(any_kernel),
            attributes};
  }

 private:
  static constexpr auto direct = algorithm::convolution_direct;  // not Winograd, which is less accurate

  dnnl::convolution_forward::primitive_desc forward_with(const memory::desc& order) const {
    return {engine(), dnnl::prop_kind::forward_training, direct, images, order, outputs, strides, dilations, low, high,
            attributes};
  }
};

}  // namespace

Plan::Plan(Pass pass, const Geometry& g, const Plan* like) {
  const SingleThreaded single;
  const Described described(g, like ? &like->chosen_ : nullptr);
  images_ = described.images;
  outputs_ = described.outputs;
  plain_ = described.plain;
  const auto take = [this](const auto& of, const memory::desc& kernel) {
    chosen_ = kernel;
    scratchpad_ = of.scratchpad_desc();
  };
  if (pass == Pass::kForward) {
    const auto of = described.forward();
    take(of, of.weights_desc());
    convolution_ = dnnl::convolution_forward(of);
  } else if (pass == Pass::kInputGradient) {
    const auto of = described.input_gradient();
    take(of, of.weights_desc());
    convolution_ = dnnl::convolution_backward_data(of);
  } else {
    const auto of = described.kernel_gradient();
    take(of, of.diff_weights_desc());
    convolution_ = dnnl::convolution_backward_weights(of);
  }
  const bool back = pass == Pass::kKernelGradient;
  const memory::desc &from = back ? chosen_ : plain_, &to = back ? plain_ : chosen_;
  if (from != to) {
    const dnnl::reorder::primitive_desc of(engine(), from, engine(), to, described.attributes);
    reorder_scratchpad_ = of.scratchpad_desc();
    reorder_ = dnnl::reorder(of);
  }
}

std::string implementation(Pass pass, const Geometry& g) {
  const SingleThreaded single;
  const Described described(g);
  if (pass == Pass::kForward) return described.forward().impl_info_str();
  if (pass == Pass::kInputGradient) return described.input_gradient().impl_info_str();
  return described.kernel_gradient().impl_info_str();
}

void Plan::run(const dnnl::primitive& primitive, std::unordered_map<int, memory> arguments) const {
  const memory::desc& wanted = reorder_ && &primitive == &*reorder_ ? reorder_scratchpad_ : scratchpad_;
  if (wanted.get_size() > 0) {
    arguments.emplace(DNNL_ARG_SCRATCHPAD,
                      memory(wanted, engine(), lasting_memory(Purpose::kScratchpad, wanted.get_size())));
  }
  const SingleThreaded single;
  primitive.execute(stream(), arguments);
  stream().wait();
}

namespace {

memory at(const memory::desc& description, const void* data) {
  return memory(description, engine(), const_cast<void*>(data));
}

}  // namespace

void Plan::arrange_kernel(const void* kernel, void* arranged) const {
  run(*reorder_, {{DNNL_ARG_FROM, at(plain_, kernel)}, {DNNL_ARG_TO, at(chosen_, arranged)}});
}

void Plan::forward(const void* x, const void* kernel, void* y) const {
  run(convolution_, {{DNNL_ARG_SRC, at(images_, x)},
                     {DNNL_ARG_WEIGHTS, at(chosen_, kernel)},
                     {DNNL_ARG_DST, at(outputs_, y)}});
}

void Plan::input_gradient(const void* g, const void* kernel, void* dx) const {
  run(convolution_, {{DNNL_ARG_DIFF_DST, at(outputs_, g)},
                     {DNNL_ARG_WEIGHTS, at(chosen_, kernel)},
                     {DNNL_ARG_DIFF_SRC, at(images_, dx)}});
}

void Plan::kernel_gradient(const void* x, const void* g, void* gradient) const {
  run(convolution_, {{DNNL_ARG_SRC, at(images_, x)},
                     {DNNL_ARG_DIFF_DST, at(outputs_, g)},
                     {DNNL_ARG_DIFF_WEIGHTS, at(chosen_, gradient)}});
}

void Plan::restore_kernel(const void* gradient, void* kernel) const {
  if (!reorder_) {
    std::memcpy(kernel, gradient, plain_.get_size());
    return;
  }
  run(*reorder_, {{DNNL_ARG_FROM, at(chosen_, gradient)}, {DNNL_ARG_TO, at(plain_, kernel)}});
}

std::shared_ptr<const Plan> plan(Pass pass, const Geometry& g, int64_t like_n) {
  using Key = std::tuple<Pass, int64_t, std::array<int64_t, sizeof(Geometry) / sizeof(int64_t)>>;
  Key key{pass, like_n, {}};
  std::memcpy(&std::get<2>(key), &g, sizeof(Geometry));
  static std::mutex mutex;
  static std::map<Key, std::shared_ptr<const Plan>> plans;
  std::shared_ptr<const Plan> like;
  if (like_n > 0) {
    Geometry other = g;
    other.n = like_n;
    like = plan(pass, other);
  }
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  if (plans.size() >= kMostPlans) plans.clear();
  return plans.emplace(key, std::make_shared<const Plan>(pass, g, like.get())).first->second;
}

}  // namespace convrunner
