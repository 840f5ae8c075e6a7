#ifndef MMSB_BENCH_ALLOCATORS_RUN_H_
#define MMSB_BENCH_ALLOCATORS_RUN_H_

#include "benchmark/benchmark.h"

namespace mmsb {

// The main() of a program that registered its benchmarks.
inline int RunBenchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace mmsb

#endif  // MMSB_BENCH_ALLOCATORS_RUN_H_
