#ifndef MMSB_MMSB_CHECK_POLICY_H_
#define MMSB_MMSB_CHECK_POLICY_H_

#include "allocator/check_policy.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_CHECK_POLICY_H_
