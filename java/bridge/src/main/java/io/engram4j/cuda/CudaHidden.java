package io.engram4j.cuda;

import io.engram4j.model.Dtype;
import java.lang.foreign.MemorySegment;

/**
 * Hidden states of a step's tokens in the memory of a device, [tokens, branches, hiddenSize], the
 * last dimension without gaps.
 *
 * @param data where they begin: a device pointer
 * @param dtype F32 or BF16
 * @param tokenStride bytes from one token to the next
 * @param branchStride bytes from one branch of a token to the next
 */
public record CudaHidden(MemorySegment data, Dtype dtype, long tokenStride, long branchStride) {
  public CudaHidden {
    if (dtype != Dtype.F32 && dtype != Dtype.BF16) {
      throw new IllegalArgumentException("a hidden stream is F32 or BF16, not " + dtype);
    }
    if (tokenStride < 0 || branchStride < 0 || data.address() == 0) {
      throw new IllegalArgumentException(
          "a hidden stream at address "
              + data.address()
              + " with strides "
              + tokenStride
              + " and "
              + branchStride);
    }
  }

  /** Hidden states without gaps. */
  public static CudaHidden of(MemorySegment data, Dtype dtype, int branches, int hiddenSize) {
    long branchStride = (long) hiddenSize * dtype.bytes();
    return new CudaHidden(data, dtype, branchStride * branches, branchStride);
  }
}
