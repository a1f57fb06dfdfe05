package io.engram4j.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.Objects;
import java.util.Properties;
import picocli.CommandLine.IVersionProvider;

/** Which release this is, and which commit it was built from. */
final class Version implements IVersionProvider {
  private static final Properties BUILD = load();

  private static Properties load() {
    Properties build = new Properties();
    try (InputStream in = Version.class.getResourceAsStream("build.properties")) {
      build.load(Objects.requireNonNull(in));
    } catch (IOException e) {
      throw new IllegalStateException("build.properties of the jar cannot be read", e);
    }
    return build;
  }

  static String version() {
    return BUILD.getProperty("version", "unknown");
  }

  /** Returns a commit's short name, with {@code -dirty} if sources had changed, or unknown. */
  static String commit() {
    return BUILD.getProperty("commit", "unknown");
  }

  @Override
  public String[] getVersion() {
    return new String[] {"engram " + version() + " (commit " + commit() + ")"};
  }
}
