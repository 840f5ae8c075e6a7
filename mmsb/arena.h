#ifndef MMSB_MMSB_ARENA_H_
#define MMSB_MMSB_ARENA_H_

#include "allocator/arena.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_ARENA_H_
