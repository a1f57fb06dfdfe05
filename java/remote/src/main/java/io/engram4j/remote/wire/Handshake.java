package io.engram4j.remote.wire;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Both sides show that they know a key: HMAC-SHA256 of the other's nonce and the side's name. It
 * keeps apart what was connected by mistake; nothing that follows is enciphered.
 */
final class Handshake {
  static final int NONCE = 32;
  static final int PROOF = 32;

  private static final SecureRandom RANDOM = new SecureRandom();

  private final byte[] key;
  private final byte[] nonce = new byte[NONCE];

  Handshake(byte[] key) {
    this.key = key.clone();
    RANDOM.nextBytes(nonce);
  }

  /** Returns this side's nonce. */
  MemorySegment nonce() {
    return MemorySegment.ofArray(nonce);
  }

  /** Returns what a side, by its name, answers to a nonce. */
  MemorySegment proof(byte side, MemorySegment other) {
    return MemorySegment.ofArray(hmac(side, other.toArray(ValueLayout.JAVA_BYTE)));
  }

  private byte[] hmac(byte side, byte[] of) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      mac.update(side);
      return mac.doFinal(of);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e); // every JDK has it
    }
  }

  /**
   * Checks what the other side, by its name, made of this side's nonce.
   *
   * @throws IOException if it has another key
   */
  void require(byte side, MemorySegment proof) throws IOException {
    byte[] given = proof.toArray(ValueLayout.JAVA_BYTE);
    if (!MessageDigest.isEqual(hmac(side, nonce), given)) {
      throw new IOException("the other side has another key");
    }
  }
}
