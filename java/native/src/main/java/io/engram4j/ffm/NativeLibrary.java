package io.engram4j.ffm;

import io.engram4j.bindings.Engram;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds and loads the CPU library, once: from the property {@value #PATH}, else from a natives jar,
 * whose library is put into a cache directory under the hash of its content. Whatever goes wrong
 * ends in a reason, never in an exception or a half-loaded library.
 */
final class NativeLibrary {
  /** The property with the path of the library. */
  static final String PATH = "engram.native.path";

  /** The property with the directory into which a jar's library is put. */
  static final String WORKDIR = "engram.native.workdir";

  private static final Logger log = LoggerFactory.getLogger(NativeLibrary.class);
  private static final String MODULES = "io.engram4j.ffm,io.engram4j.bindings";

  private NativeLibrary() {}

  /**
   * The outcome of loading.
   *
   * @param path the library, or null
   * @param reason why there is none, or null
   */
  record Loaded(@Nullable Path path, @Nullable String reason) {}

  /** Loads when it is first asked for; later calls get the same outcome. */
  static Loaded get() {
    return Holder.LOADED;
  }

  private static final class Holder {
    static final Loaded LOADED = load();
  }

  private static Loaded load() {
    List<String> reasons = new ArrayList<>();
    String given = System.getProperty(PATH);
    try {
      if (given != null) {
        return link(Path.of(given).toAbsolutePath(), true);
      }
      for (NativeResource resource :
          ServiceLoader.load(NativeResource.class, NativeLibrary.class.getClassLoader())) {
        if (!resource.platform().equals(platform())) {
          reasons.add("the jar for " + resource.platform() + " is not for " + platform());
          continue;
        }
        try (InputStream in = resource.open("engram")) {
          if (in != null) {
            return link(extract(in.readAllBytes()), false);
          }
          reasons.add("the jar for " + platform() + " has no library");
        }
      }
    } catch (IOException | RuntimeException | LinkageError e) {
      reasons.add(e.toString());
    }
    reasons.add("no natives jar for " + platform() + " on the path, and no -D" + PATH);
    return new Loaded(null, String.join("; ", reasons));
  }

  /** Returns the running platform, such as {@code linux-x86_64}. */
  static String platform() {
    String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch");
    String system = os.startsWith("mac") ? "osx" : os.startsWith("win") ? "windows" : "linux";
    return system + "-" + (arch.equals("amd64") ? "x86_64" : arch);
  }

  @SuppressWarnings("restricted")
  private static Loaded link(Path library, boolean given) {
    try {
      if (given && !Files.isRegularFile(library)) {
        return refused(library, "it is not a file");
      }
      String problem = platform().startsWith("linux") ? ElfFile.problem(library) : null;
      if (problem != null) {
        return refused(library, problem);
      }
      System.load(library.toString());
      int abi = Engram.engram_abi();
      if (abi != Engram.ENGRAM_ABI()) {
        return refused(
            library, "it has ABI " + abi + ", but this version needs " + Engram.ENGRAM_ABI());
      }
      CpuCalls.bindAll();
      return new Loaded(library, null);
    } catch (IllegalCallerException e) {
      String module = NativeLibrary.class.getModule().isNamed() ? MODULES : "ALL-UNNAMED";
      return refused(library, "this JVM needs --enable-native-access=" + module);
    } catch (IOException
        | UnsatisfiedLinkError
        | RuntimeException
        | ExceptionInInitializerError e) {
      String reason = String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
      return refused(library, e.getCause() == null ? reason : reason + ": " + e.getCause());
    }
  }

  private static Loaded refused(Path library, String reason) {
    log.warn("the native library {} cannot be used: {}", library, reason);
    return new Loaded(null, library + ": " + reason);
  }

  /** Content-addressed, so that it is written once, never in place, and two JVMs can race. */
  private static Path extract(byte[] library) throws IOException {
    String hash = HexFormat.of().formatHex(sha256(library)).substring(0, 16);
    Path directory = workDirectory().resolve("native-" + hash);
    Path file = directory.resolve(System.mapLibraryName("engram"));
    if (Files.isRegularFile(file) && MessageDigest.isEqual(sha256(file), sha256(library))) {
      return file;
    }
    Files.createDirectories(directory);
    Path temporary = Files.createTempFile(directory, "engram", ".tmp");
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

  private static Path workDirectory() {
    String given = System.getProperty(WORKDIR);
    if (given != null) {
      return Path.of(given).toAbsolutePath();
    }
    String xdg = System.getenv("XDG_CACHE_HOME");
    return xdg != null && !xdg.isBlank()
        ? Path.of(xdg, "engram4j")
        : Path.of(System.getProperty("user.home"), ".cache", "engram4j");
  }

  private static byte[] sha256(Path file) throws IOException {
    return sha256(Files.readAllBytes(file));
  }

  private static byte[] sha256(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }
}
