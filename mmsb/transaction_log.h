#ifndef MMSB_MMSB_TRANSACTION_LOG_H_
#define MMSB_MMSB_TRANSACTION_LOG_H_

#include "memory/log/transaction_log.h"  // IWYU pragma: export

#endif  // MMSB_MMSB_TRANSACTION_LOG_H_
