package io.engram4j.cuda;

/**
 * CUDA, or a kernel's checks, refused a call. After an error such as an illegal address or a lost
 * device CUDA refuses everything more in this process; errors of a kernel show in a later call.
 */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final int status;

  CudaException(String function, int status, String reason) {
    super(function + " returned status " + status + ": " + reason);
    this.status = status;
  }

  /** Returns the status code of the native library. */
  public int status() {
    return status;
  }
}
