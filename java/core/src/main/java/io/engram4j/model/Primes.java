package io.engram4j.model;

/** Prime search for table sizes, exact below 2^32. */
final class Primes {
  private static final long LIMIT = 1L << 32;
  private static final long[] BASES = {2, 7, 61}; // decide every number below 4,759,123,141

  private Primes() {}

  /**
   * Returns the smallest prime above {@code n}.
   *
   * @throws IllegalArgumentException if it would not be below 2^32
   */
  static long after(long n) {
    for (long candidate = Math.max(n + 1, 2); candidate < LIMIT; candidate++) {
      if (isPrime(candidate)) {
        return candidate;
      }
    }
    throw new IllegalArgumentException("no prime between " + n + " and 2^32");
  }

  static boolean isPrime(long n) {
    if (n < 2) {
      return false;
    }
    for (int small : new int[] {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 61}) {
      if (n % small == 0) {
        return n == small;
      }
    }
    int twos = Long.numberOfTrailingZeros(n - 1);
    for (long base : BASES) {
      if (isComposite(n, base, twos)) {
        return false;
      }
    }
    return true;
  }

  private static boolean isComposite(long n, long base, int twos) {
    long x = power(base, (n - 1) >>> twos, n);
    if (x == 1 || x == n - 1) {
      return false;
    }
    for (int i = 1; i < twos; i++) {
      x = Long.remainderUnsigned(x * x, n);
      if (x == n - 1) {
        return false;
      }
    }
    return true;
  }

  private static long power(long base, long exponent, long modulus) {
    long result = 1;
    long square = base % modulus;
    for (long e = exponent; e > 0; e >>>= 1) {
      if ((e & 1) == 1) {
        result = Long.remainderUnsigned(result * square, modulus);
      }
      square = Long.remainderUnsigned(square * square, modulus);
    }
    return result;
  }
}
