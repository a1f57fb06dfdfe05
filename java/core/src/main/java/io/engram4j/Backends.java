package io.engram4j;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import io.engram4j.kernel.java.JavaBackend;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds the backends on the class or module path and chooses one. The property {@value #PROPERTY}
 * holds an ordered list of names to choose from, such as {@code cpu,java}; without it the highest
 * rank wins.
 */
public final class Backends {
  /** The property with the ordered list of backends to choose from. */
  public static final String PROPERTY = "engram.backend";

  private static final Logger log = LoggerFactory.getLogger(Backends.class);

  private Backends() {}

  /** Returns all backends that were found, the best first, whether they can run here or not. */
  public static List<BackendProvider> providers() {
    List<BackendProvider> found = new ArrayList<>();
    found.add(new JavaProvider());
    var services = ServiceLoader.load(BackendProvider.class, Backends.class.getClassLoader());
    var iterator = services.stream().iterator();
    while (iterator.hasNext()) {
      try {
        found.add(iterator.next().get());
      } catch (ServiceConfigurationError e) {
        log.warn("a backend on the path could not be made: {}", e.getMessage());
      }
    }
    found.sort(Comparator.comparingInt(BackendProvider::rank).reversed());
    return List.copyOf(found);
  }

  /**
   * Chooses by the property {@value #PROPERTY}, else the best that can run.
   *
   * @throws IllegalStateException if the property names only backends that cannot run here; the
   *     message has every reason
   */
  public static Backend select() {
    String wanted = System.getProperty(PROPERTY, "").trim();
    return wanted.isEmpty() ? best() : named(wanted);
  }

  /**
   * Takes the first of a comma-separated list of names that can run.
   *
   * @throws IllegalStateException if none can; the message has every reason
   */
  public static Backend named(String names) {
    List<BackendProvider> providers = providers();
    List<String> reasons = new ArrayList<>();
    for (String part : names.split(",", -1)) {
      String name = part.trim();
      Optional<BackendProvider> provider =
          providers.stream().filter(p -> p.name().equals(name)).findFirst();
      if (provider.isEmpty()) {
        reasons.add(
            name
                + ": unknown; there are "
                + providers.stream().map(BackendProvider::name).toList());
        continue;
      }
      Optional<String> reason = provider.get().unavailable();
      if (reason.isEmpty()) {
        return create(provider.get());
      }
      reasons.add(name + ": not available: " + reason.get());
    }
    throw new IllegalStateException("no backend of " + names + " can run: " + reasons);
  }

  private static Backend best() {
    for (BackendProvider provider : providers()) {
      Optional<String> reason = provider.unavailable();
      if (reason.isEmpty()) {
        return create(provider);
      }
      log.debug("backend {} not taken: {}", provider.name(), reason.get());
    }
    throw new AssertionError("the Java backend can always run");
  }

  private static Backend create(BackendProvider provider) {
    Backend backend = provider.create();
    log.info("Engram backend: {} ({})", backend.name(), backend.description());
    return backend;
  }

  private static final class JavaProvider implements BackendProvider {
    @Override
    public String name() {
      return JavaBackend.NAME;
    }

    @Override
    public int rank() {
      return 0;
    }

    @Override
    public Optional<String> unavailable() {
      return Optional.empty();
    }

    @Override
    public Backend create() {
      return new JavaBackend();
    }
  }
}
