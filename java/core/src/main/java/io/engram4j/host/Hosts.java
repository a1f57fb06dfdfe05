package io.engram4j.host;

import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import org.slf4j.LoggerFactory;

/** Finds the {@link Host} of this machine. */
public final class Hosts {
  private Hosts() {}

  /** Returns the first that can be used here, or plain Java's. */
  public static Host find() {
    var found = ServiceLoader.load(Host.class, Host.class.getClassLoader()).stream().iterator();
    while (found.hasNext()) {
      try {
        Host host = found.next().get();
        if (host.isAvailable()) {
          return host;
        }
      } catch (ServiceConfigurationError | LinkageError e) {
        LoggerFactory.getLogger(Hosts.class).debug("host not taken: {}", e.toString());
      }
    }
    return plainJava();
  }

  /** Returns the one that every machine has. */
  public static Host plainJava() {
    return new JavaHost();
  }
}
