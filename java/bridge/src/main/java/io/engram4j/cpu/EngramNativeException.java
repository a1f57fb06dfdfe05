package io.engram4j.cpu;

/** A native kernel refused its arguments, which the checks before it should have done. */
public final class EngramNativeException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final int status;

  EngramNativeException(String function, int status, String text) {
    super(function + " returned status " + status + ": " + text);
    this.status = status;
  }

  /** Returns the status code. */
  public int status() {
    return status;
  }
}
