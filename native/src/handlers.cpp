// The handlers that XLA calls, and the functions that Python calls before.

#include <string>

#include "batches.h"
#include "convolution.h"
#include "moments.h"

namespace convrunner {

namespace {

template <typename F>
ffi::Error guarded(const F& work) {
  try {
    work();
    return ffi::Error::Success();
  } catch (const std::exception& failure) {
    return ffi::Error(ffi::ErrorCode::kInternal, std::string("convrunner_native: ") + failure.what());
  }
}

ffi::Error call_forward(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer kernel, ffi::Result<ffi::AnyBuffer> y,
                        Numbers window, int64_t groups) {
  return guarded([&] { forward(pool, x, kernel, *y, window, groups); });
}

ffi::Error call_input_gradient(ffi::ThreadPool pool, ffi::AnyBuffer g, ffi::AnyBuffer kernel,
                               ffi::Result<ffi::AnyBuffer> dx, Numbers window, int64_t groups) {
  return guarded([&] { input_gradient(pool, g, kernel, *dx, window, groups); });
}

ffi::Error call_kernel_gradient(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer g,
                                ffi::Result<ffi::AnyBuffer> dk, Numbers window, int64_t groups) {
  return guarded([&] { kernel_gradient(pool, x, g, *dk, window, groups); });
}

ffi::Error call_moments(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> mean,
                        ffi::Result<ffi::AnyBuffer> variance) {
  return guarded([&] { moments(pool, x, *mean, *variance); });
}

}  // namespace

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(convrunner_forward, call_forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<Numbers>("window")
                                  .Attr<int64_t>("groups"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(convrunner_input_gradient, call_input_gradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<Numbers>("window")
                                  .Attr<int64_t>("groups"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(convrunner_kernel_gradient, call_kernel_gradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<Numbers>("window")
                                  .Attr<int64_t>("groups"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(convrunner_moments, call_moments,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());

// Whether oneDNN computes all three passes of a geometry (its members in order) with more than its plain fallback loops.
extern "C" int convrunner_serves(const int64_t* members) {
  const Geometry& geometry = *reinterpret_cast<const Geometry*>(members);
  try {
    for (const Pass pass : {Pass::kForward, Pass::kInputGradient, Pass::kKernelGradient}) {
      if (implementation(pass, geometry).rfind("ref", 0) == 0) return 0;
    }
    return 1;
  } catch (const std::exception&) {
    return 0;
  }
}

// Whether the CPU has instructions to multiply bfloat16; if not, float32 is faster.
extern "C" int convrunner_has_bfloat16() {
  return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
}

#pragma GCC visibility pop

}  // namespace convrunner
