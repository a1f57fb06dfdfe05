package io.engram4j.bridge;

import io.engram4j.host.CacheDirectory;
import io.engram4j.host.Digests;
import io.engram4j.host.OwnDirectory;
import io.engram4j.host.RegularFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The directory into which a jar's library is put, since only files can be loaded: from the
 * property {@value #WORKDIR}, else {@code $XDG_CACHE_HOME/engram4j}, else {@code
 * ~/.cache/engram4j}.
 */
final class NativeCache {
  /** The property with the directory. */
  static final String WORKDIR = "engram.native.workdir";

  private static final Logger log = LoggerFactory.getLogger(NativeCache.class);

  private NativeCache() {}

  /**
   * Puts a library where it can be loaded. Content-addressed, so that it is written once, never in
   * place, and two JVMs can race. Only in a directory that nobody else can write to: between the
   * check of what is there and the load, it would be swapped. Where there is none, as in a
   * container without a home, into one of its own below the temporary directory.
   */
  static Path extract(String name, byte[] library) throws IOException {
    try {
      return inCache(name, library);
    } catch (IOException e) {
      Path directory = Files.createTempDirectory("engram4j-native-");
      log.info(
          "the native library goes into {}, since the cache cannot be used: {};"
              + " -D{} names another directory",
          directory,
          e.toString(),
          WORKDIR);
      Path file = directory.resolve(System.mapLibraryName(name));
      Files.write(file, library);
      directory.toFile().deleteOnExit(); // before its file, as they go in reverse order
      file.toFile().deleteOnExit();
      return file;
    }
  }

  private static Path inCache(String name, byte[] library) throws IOException {
    String hash = Digests.hex(Digests.sha256(library), 8);
    Path directory = OwnDirectory.makeAll(directory().resolve("native-" + hash));
    Path file = directory.resolve(System.mapLibraryName(name));
    if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
        && MessageDigest.isEqual(
            Digests.sha256(Files.readAllBytes(file)), Digests.sha256(library))) {
      return file;
    }
    Path temporary = RegularFiles.beside(file);
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
    Path directory = besideOrTemporary(library);
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

  private static Path besideOrTemporary(Path library) throws IOException {
    try {
      return Files.createTempDirectory(library.resolveSibling(""), "loader");
    } catch (IOException e) {
      return Files.createTempDirectory("engram4j-loader"); // where a link becomes a copy
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
