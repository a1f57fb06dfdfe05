package io.engram4j.bridge;

import java.io.IOException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/**
 * A jar that carries the native library of one platform; found through {@link
 * java.util.ServiceLoader}. The service's class lies in that jar, so that it can open the jar's
 * resources under modules too.
 */
public interface NativeResource {
  /** Returns the platform, such as {@code linux-x86_64}. */
  String platform();

  /**
   * Opens a library.
   *
   * @param library its name without prefix and suffix, such as {@code engram}
   * @return its bytes, or null if this jar does not have it
   * @throws IOException if it cannot be read
   */
  @Nullable InputStream open(String library) throws IOException;
}
