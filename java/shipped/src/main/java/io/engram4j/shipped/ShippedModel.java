package io.engram4j.shipped;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * A decoder with Engram, four residual streams of 96 and six layers, that was trained on the King
 * James Bible, Moby-Dick and WordNet: ten megabytes which know something. Its directory is a model
 * like any other; {@code README.md} in it is the model's card.
 */
public final class ShippedModel {
  private static final String DIGESTS = "SHA256SUMS";

  private ShippedModel() {}

  /** A file and the digest of its bytes. */
  private record Shipped(String name, String sha256) {}

  /**
   * Puts the model below a directory, if it is not there whole, and returns where. Several
   * processes may do that at once.
   *
   * @throws IOException if it cannot be written
   */
  public static Path unpack(Path below) throws IOException {
    List<Shipped> files = files();
    // a directory for each set of weights: another version of the library has its own
    String version = sha256(resource(DIGESTS)).substring(0, 12);
    Path directory = below.resolve("shipped-" + version);
    Files.createDirectories(directory);
    for (Shipped file : files) {
      Path at = directory.resolve(file.name());
      if (!Files.exists(at) || !sha256(Files.readAllBytes(at)).equals(file.sha256())) {
        write(file, at);
      }
    }
    return directory;
  }

  private static void write(Shipped file, Path at) throws IOException {
    byte[] bytes = resource(file.name());
    if (!sha256(bytes).equals(file.sha256())) {
      throw new IOException("the jar's " + file.name() + " is damaged");
    }
    // no temporary file of the JDK's, which others may not read
    String own = ProcessHandle.current().pid() + "-" + System.nanoTime();
    Path beside = at.resolveSibling(file.name() + "." + own + ".tmp");
    try {
      Files.write(beside, bytes, StandardOpenOption.CREATE_NEW);
      try {
        Files.move(beside, at, StandardCopyOption.ATOMIC_MOVE);
      } catch (AtomicMoveNotSupportedException e) {
        Files.move(beside, at, StandardCopyOption.REPLACE_EXISTING);
      } catch (FileSystemException e) {
        if (!Files.exists(at)) {
          throw e;
        }
        // another process has it open, where that forbids to replace it; its bytes are the same
      }
    } finally {
      Files.deleteIfExists(beside);
    }
  }

  private static List<Shipped> files() throws IOException {
    List<Shipped> files = new ArrayList<>();
    for (String line :
        new String(resource(DIGESTS), java.nio.charset.StandardCharsets.UTF_8).lines().toList()) {
      String[] fields = line.split(" +", 2);
      files.add(new Shipped(fields[1], fields[0]));
    }
    return files;
  }

  private static byte[] resource(String name) throws IOException {
    try (InputStream in = ShippedModel.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IOException("the jar has no " + name);
      }
      return in.readAllBytes();
    }
  }

  private static String sha256(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }
}
