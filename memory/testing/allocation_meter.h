#ifndef MMSB_MEMORY_TESTING_ALLOCATION_METER_H_
#define MMSB_MEMORY_TESTING_ALLOCATION_METER_H_

#include <cstddef>

namespace mmsb {

// What the program asks of operator new, which this library replaces: for tests
// that hostile input cannot make a program allocate more than it should.
//
// Counts all threads; blocks with an alignment beyond the ordinary are not
// counted, nor is what is allocated in other ways.
//
//   AllocationMeter meter;
//   Read(input);
//   EXPECT_LE(meter.largest(), input.size());
class AllocationMeter {
 public:
  // Starts counting from nothing; one meter at a time.
  AllocationMeter();

  // Since the constructor, in bytes.
  [[nodiscard]] size_t largest() const;  // that was asked for at once
  [[nodiscard]] size_t total() const;    // given back or not
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_TESTING_ALLOCATION_METER_H_
