package io.engram4j.bridge;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;
import java.util.function.IntSupplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds and loads a library, once: from a property, else from a natives jar through {@link
 * NativeCache}, else from {@code java.library.path}. Whatever goes wrong ends in a reason, never in
 * an exception or a half-loaded library. Thread-safe.
 */
public final class NativeLibrary {
  private static final Logger log = LoggerFactory.getLogger(NativeLibrary.class);
  private static final String MODULES = "io.engram4j.bridge,io.engram4j.bindings";

  private final String name;
  private final String property;
  private final IntSupplier abi;
  private final IntSupplier wantedAbi;
  private final Runnable bindAll;
  private @Nullable Loaded outcome;

  /**
   * A library that is not loaded yet.
   *
   * @param name without prefix and suffix, such as {@code engram}
   * @param property the property with its path
   * @param abi asks the loaded library for its ABI number, which must be {@code wantedAbi}; both
   *     are asked only then, since bindings need native access
   * @param bindAll binds every function, so that a missing one shows when it is loaded
   */
  public NativeLibrary(
      String name, String property, IntSupplier abi, IntSupplier wantedAbi, Runnable bindAll) {
    this.name = name;
    this.property = property;
    this.abi = abi;
    this.wantedAbi = wantedAbi;
    this.bindAll = bindAll;
  }

  /**
   * The outcome of loading.
   *
   * @param path the library, or null
   * @param reason why there is none, or null
   */
  public record Loaded(@Nullable Path path, @Nullable String reason) {}

  /** Loads when it is first asked for; later calls get the same outcome. */
  public synchronized Loaded get() {
    Loaded known = outcome;
    if (known == null) {
      known = load();
      outcome = known;
    }
    return known;
  }

  private Loaded load() {
    List<String> reasons = new ArrayList<>();
    try {
      String given = System.getProperty(property);
      if (given != null) {
        return link(Path.of(given).toAbsolutePath());
      }
      Path found = fromJar(reasons);
      if (found == null) {
        found = fromSystemPath();
      }
      if (found != null) {
        return link(found);
      }
    } catch (IOException | RuntimeException | LinkageError e) {
      log.warn("the native library {} cannot be used: {}", name, e.toString());
      reasons.add(e.toString());
    }
    reasons.add(
        "no natives jar for "
            + platform()
            + " on the path has "
            + name
            + ", none in java.library.path, and no -D"
            + property);
    return new Loaded(null, String.join("; ", reasons));
  }

  private @Nullable Path fromJar(List<String> reasons) throws IOException {
    for (NativeResource resource :
        ServiceLoader.load(NativeResource.class, NativeLibrary.class.getClassLoader())) {
      if (!resource.platform().equals(platform())) {
        reasons.add("the jar for " + resource.platform() + " is not for " + platform());
        continue;
      }
      try (InputStream in = resource.open(name)) {
        if (in != null) {
          return NativeCache.extract(name, in.readAllBytes());
        }
        reasons.add("the jar for " + platform() + " was built without " + name);
      }
    }
    return null;
  }

  private @Nullable Path fromSystemPath() {
    String fileName = System.mapLibraryName(name);
    for (String directory :
        System.getProperty("java.library.path", "").split(Pattern.quote(File.pathSeparator), -1)) {
      Path file = Path.of(directory, fileName).toAbsolutePath();
      if (!directory.isEmpty() && Files.isRegularFile(file)) {
        return file;
      }
    }
    return null;
  }

  /** Returns the running platform as os-maven-plugin has it, such as {@code linux-x86_64}. */
  static String platform() {
    String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch");
    String system = os.startsWith("mac") ? "osx" : os.startsWith("win") ? "windows" : "linux";
    String machine =
        switch (arch) {
          case "amd64" -> "x86_64";
          case "aarch64" -> "aarch_64";
          default -> arch;
        };
    return system + "-" + machine;
  }

  private Loaded link(Path library) {
    try {
      if (!Files.isRegularFile(library)) {
        return refused(library, "it is not a file");
      }
      String problem = platform().startsWith("linux") ? ElfFile.problem(library) : null;
      if (problem != null) {
        return refused(library, problem);
      }
      open(library);
      int found = abi.getAsInt();
      int wanted = wantedAbi.getAsInt();
      if (found != wanted) {
        return refused(library, "it has ABI " + found + ", but this version needs " + wanted);
      }
      bindAll.run();
      return new Loaded(library, null);
    } catch (IllegalCallerException e) {
      String module = NativeLibrary.class.getModule().isNamed() ? MODULES : "ALL-UNNAMED";
      return refused(library, "this JVM needs --enable-native-access=" + module);
    } catch (IOException
        | UnsatisfiedLinkError
        | RuntimeException
        | ExceptionInInitializerError e) {
      String reason = explain(String.valueOf(e.getMessage()).replaceAll("\\s+", " "));
      return refused(library, e.getCause() == null ? reason : reason + ": " + e.getCause());
    }
  }

  @SuppressWarnings("restricted")
  private static void open(Path library) throws IOException {
    try {
      System.load(library.toString());
    } catch (UnsatisfiedLinkError e) {
      if (!String.valueOf(e.getMessage()).contains("already loaded in another classloader")) {
        throw e;
      }
      NativeCache.loadAgain(library);
    }
  }

  /** Adds to a linker's message what a person can do about it. */
  static String explain(String message) {
    return message.contains("failed to map segment")
        ? message
            + ": is it on a file system that is mounted noexec? Name another directory with -D"
            + NativeCache.WORKDIR
        : message;
  }

  private static Loaded refused(Path library, String reason) {
    log.warn("the native library {} cannot be used: {}", library, reason);
    return new Loaded(null, library + ": " + reason);
  }
}
