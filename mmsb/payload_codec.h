#ifndef MMSB_MMSB_PAYLOAD_CODEC_H_
#define MMSB_MMSB_PAYLOAD_CODEC_H_

#include "memory/delta/payload_codec.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_PAYLOAD_CODEC_H_
