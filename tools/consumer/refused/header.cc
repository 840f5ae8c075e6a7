#include "allocator/arena.h"

void* Reach(mmsb::Arena<>& arena) { return arena.Allocate(1, 1); }
