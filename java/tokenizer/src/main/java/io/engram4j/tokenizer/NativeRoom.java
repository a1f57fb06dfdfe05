package io.engram4j.tokenizer;

import java.lang.ref.Reference;

/** Runs out of stack or heap in Java, before the tokenizers do, which would end the process. */
final class NativeRoom {
  /** With compiled frames 100 kB and more, besides what the JVM keeps for native methods. */
  private static final int FRAMES = 2000;

  private NativeRoom() {}

  /**
   * Checks that there is room for a call.
   *
   * @param tokens the most that it returns, about
   * @throws StackOverflowError if there is too little stack
   * @throws OutOfMemoryError if there is too little heap
   */
  static void require(int tokens) {
    long[] room = new long[tokens];
    try {
      descend(FRAMES);
    } finally {
      Reference.reachabilityFence(room); // else it would not be made
    }
  }

  private static int descend(int frames) {
    return frames == 0 ? 0 : 1 + descend(frames - 1);
  }
}
