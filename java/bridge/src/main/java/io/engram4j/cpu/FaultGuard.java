package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import io.engram4j.host.Limits;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Pages of mapped files that cannot be had, since a file became shorter or a mount went away: in C
 * they end the process, unless the library's handler stands before the JVM's. It does so on Linux
 * by default, and steps aside where the signal is not the JVM's alone: with a handler that somebody
 * chained, with {@code -Xcheck:jni}, and where the property {@value #PROPERTY} is {@code false}.
 */
final class FaultGuard {
  /** The property that turns the guard off. */
  static final String PROPERTY = "engram.native.guard";

  private static @Nullable String outcome;

  private FaultGuard() {}

  /** Sets the guard up once; returns why there is none, or an empty text. */
  static synchronized String problem() {
    String known = outcome;
    if (known == null) {
      known = setUp();
      outcome = known;
    }
    return known;
  }

  private static String setUp() {
    if (!Boolean.parseBoolean(System.getProperty(PROPERTY, "true"))) {
      return "-D" + PROPERTY + "=false";
    }
    if (Limits.hasOption("-Xcheck:jni")) {
      return "-Xcheck:jni looks after handlers of signals";
    }
    long handler = Engram.engram_fault_handler().address();
    if (handler == 0) {
      return "this system has none";
    }
    String owner = owner(handler);
    if (!owner.startsWith("libjvm.")) {
      return "SIGBUS is handled by " + owner;
    }
    int status = Engram.engram_guard();
    return status == Engram.ENGRAM_OK() ? "" : Engram.engram_status_text(status).getString(0);
  }

  /** Returns the file name of what is mapped at an address. */
  private static String owner(long address) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
        String[] fields = line.split("\\s+", 6);
        String[] ends = fields[0].split("-", 2);
        if (ends.length == 2
            && Long.compareUnsigned(address, Long.parseUnsignedLong(ends[0], 16)) >= 0
            && Long.compareUnsigned(address, Long.parseUnsignedLong(ends[1], 16)) < 0) {
          return fields.length < 6 ? "code without a file" : fields[5].replaceAll(".*/", "");
        }
      }
    } catch (IOException | NumberFormatException e) {
      return "somebody (" + e.getMessage() + ")";
    }
    return "somebody";
  }

  /** What a call ends in whose memory could not be had. */
  static UncheckedIOException lost(String what) {
    return new UncheckedIOException(
        new IOException(
            "reading "
                + what
                + " failed: the file under the mapping has shrunk or its disk has failed"));
  }
}
