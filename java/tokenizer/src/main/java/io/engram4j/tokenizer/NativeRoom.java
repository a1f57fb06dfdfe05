package io.engram4j.tokenizer;

import java.lang.ref.Reference;

/** Runs out of stack or heap in Java, before the tokenizers do, which would end the process. */
final class NativeRoom {
  /** With compiled frames 100 kB and more, besides what the JVM keeps for native methods. */
  private static final int FRAMES = 2000;

  private static final int MOST = Integer.MAX_VALUE - 16; // of an array

  private NativeRoom() {}

  /**
   * Checks that there is room for a call.
   *
   * @param numbers of 64 bits, the most that it returns
   * @throws StackOverflowError if there is too little stack
   * @throws OutOfMemoryError if there is too little heap
   */
  static void require(long numbers) {
    long[] room = new long[(int) Math.min(numbers, MOST)];
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
