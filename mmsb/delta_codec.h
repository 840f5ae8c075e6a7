#ifndef MMSB_MMSB_DELTA_CODEC_H_
#define MMSB_MMSB_DELTA_CODEC_H_

#include "memory/delta/delta_codec.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_DELTA_CODEC_H_
