#ifndef ENGRAM_CUDA_TOUCH_H
#define ENGRAM_CUDA_TOUCH_H

#include "../include/engram_cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads rows whose scales lie behind them, 8 bytes a lane; their ids are in the table. */
int engram_cuda_touch(const struct engram_cuda_queue *on, const struct engram_table *table,
                      const long long *row_ids, long long count, unsigned long long *out);

#ifdef __cplusplus
}
#endif
#endif
