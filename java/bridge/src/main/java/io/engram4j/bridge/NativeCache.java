package io.engram4j.bridge;

import io.engram4j.host.CacheDirectory;
import io.engram4j.host.Digests;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;

/**
 * The directory into which a jar's library is put, since only files can be loaded: from the
 * property {@value #WORKDIR}, else {@code $XDG_CACHE_HOME/engram4j}, else {@code
 * ~/.cache/engram4j}.
 */
final class NativeCache {
  /** The property with the directory. */
  static final String WORKDIR = "engram.native.workdir";

  private NativeCache() {}

  /** Content-addressed, so that it is written once, never in place, and two JVMs can race. */
  static Path extract(String name, byte[] library) throws IOException {
    String hash = Digests.hex(Digests.sha256(library), 8);
    Path directory = directory().resolve("native-" + hash);
    Path file = directory.resolve(System.mapLibraryName(name));
    if (Files.isRegularFile(file)
        && MessageDigest.isEqual(
            Digests.sha256(Files.readAllBytes(file)), Digests.sha256(library))) {
      return file;
    }
    Files.createDirectories(directory);
    Path temporary = Files.createTempFile(directory, name, ".tmp");
    try {
      try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
        ByteBuffer bytes = ByteBuffer.wrap(library);
        while (bytes.hasRemaining()) {
          channel.write(bytes);
        }
        channel.force(true);
      }
      Files.move(
          temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
    return file;
  }

  /**
   * Loads a library that another class loader has loaded: a JVM takes a path only once, so it gets
   * another name for the same file, or a copy where there are no hard links.
   */
  @SuppressWarnings("restricted")
  static void loadAgain(Path library) throws IOException {
    Path directory = Files.createTempDirectory(Files.createDirectories(directory()), "loader");
    Path twin = directory.resolve(library.getFileName().toString());
    try {
      try {
        Files.createLink(twin, library);
      } catch (IOException | UnsupportedOperationException e) {
        Files.copy(library, twin);
      }
      System.load(twin.toString());
    } finally {
      remove(twin);
      remove(directory);
    }
  }

  /** A loaded library's file is not needed any more, but Windows keeps it until the JVM ends. */
  private static void remove(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      file.toFile().deleteOnExit();
    }
  }

  static Path directory() {
    String given = System.getProperty(WORKDIR);
    return given != null ? Path.of(given).toAbsolutePath() : CacheDirectory.ofUser();
  }
}
