package io.engram4j.remote;

/**
 * Lets a thread that waits for rows move its engine's messages itself, where handing a reply from
 * the engine's thread to it would take as long as the reply (over UCX 48 rows took 82 us so, and
 * docs/remote.md has what they take without). Thread-safe.
 */
public interface Driver {
  /** What is waited for. */
  interface Waiting {
    /** Returns whether something has come, so that there is no reason to wait on. */
    boolean hasCome();
  }

  /**
   * Waits for something to come, or for a while, or until this thread is unparked.
   *
   * @param nanos at most
   */
  void await(Waiting waiting, long nanos);
}
