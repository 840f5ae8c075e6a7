#include "device/simd/encoded_delta.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "device/simd/testing/each_target.h"
#include "device/simd/testing/random_bytes.h"
#include "gtest/gtest.h"
#include "memory/delta/delta.h"
#include "memory/delta/delta_codec.h"

namespace mmsb {
namespace {

using Bytes = std::vector<std::byte>;

class EncodedDeltaTest : public EachTarget {
 protected:
  // The page and the status are those of ApplyEncodedDelta.
  void ExpectLikeReference(DeltaForm form, const Bytes& encoded,
                           const Bytes& before) {
    Bytes expected = before;
    const absl::Status status = ApplyEncodedDelta(form, encoded, expected);
    Bytes page = before;
    ASSERT_EQ(ApplyEncodedDeltaByKernels(form, encoded, page), status);
    ASSERT_EQ(page, expected) << status;
  }
};

TEST_P(EncodedDeltaTest, WhatIsWellFormedAndWhatIsNot) {
  std::mt19937_64 random(1);
  int refused = 0;
  for (const size_t bytes : {0u, 1u, 8u, 63u, 300u, 4096u}) {
    for (const uint64_t per_million : {0u, 1'000u, 100'000u, 1'000'000u}) {
      Bytes before(bytes);
      FillRandom(before, random);
      Bytes after = before;
      ChangeSome(after, per_million, random);
      const Delta delta = *Delta::Make(before, after);
      // Both forms, whichever would be chosen.
      Bytes dense;
      for (const uint8_t bits : delta.mask()) {
        dense.push_back(static_cast<std::byte>(bits));
      }
      dense.insert(dense.end(), delta.payload().begin(), delta.payload().end());
      ExpectLikeReference(DeltaForm::kDense, dense, before);
      Bytes page = before;
      ASSERT_TRUE(
          ApplyEncodedDeltaByKernels(DeltaForm::kDense, dense, page).ok());
      ASSERT_EQ(page, after);
      Bytes encoded;
      const DeltaForm form = EncodeDelta(delta, after, encoded)->form;
      ExpectLikeReference(form, encoded, before);
      ExpectLikeReference(DeltaForm::kWhole, after, before);
      for (int round = 0; round < 40; ++round) {
        Bytes damaged = dense;
        if (!damaged.empty() && round % 4 != 0) {
          damaged[random() % damaged.size()] ^=
              static_cast<std::byte>(1u << (random() % 8));
        }
        if (round % 4 == 0) damaged.resize(random() % (dense.size() + 9));
        for (const DeltaForm any :
             {DeltaForm::kDense, DeltaForm::kSparse, DeltaForm::kWhole}) {
          ExpectLikeReference(any, damaged, before);
          if (HasFatalFailure()) return;
          Bytes copy = before;
          refused +=
              ApplyEncodedDeltaByKernels(any, damaged, copy).ok() ? 0 : 1;
        }
      }
    }
  }
  EXPECT_GT(refused, 1000);
}

INSTANTIATE_TEST_SUITE_P(Targets, EncodedDeltaTest, AllTargets(), TargetName);

}  // namespace
}  // namespace mmsb
