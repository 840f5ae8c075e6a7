#ifndef MMSB_MMSB_PREFIX_ORACLE_H_
#define MMSB_MMSB_PREFIX_ORACLE_H_

#include "memory/log/prefix_oracle.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PREFIX_ORACLE_H_
