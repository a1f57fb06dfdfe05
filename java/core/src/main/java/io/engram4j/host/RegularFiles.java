package io.engram4j.host;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Files that hold bytes, and nothing that is waited on: no pipes, devices or directories. */
public final class RegularFiles {
  private static final Logger LOG = LoggerFactory.getLogger(RegularFiles.class);
  private static final Random RANDOM = new SecureRandom();
  private static final Set<StandardOpenOption> NEW =
      Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);

  private static final int LONGEST_POINTER = 1024;
  private static final String POINTER = "version https://git-lfs.github.com/spec/";

  private RegularFiles() {}

  /**
   * Opens a file for reading.
   *
   * @throws IOException if it is not there, is no regular file, or cannot be opened
   */
  public static FileChannel read(Path file) throws IOException {
    require(file);
    return FileChannel.open(file, StandardOpenOption.READ);
  }

  /**
   * Checks that a path leads to a regular file.
   *
   * @throws IOException if it does not, saying what is there
   */
  public static void require(Path file) throws IOException {
    if (Files.isRegularFile(file)) {
      refusePointer(file);
      return;
    }
    if (Files.isDirectory(file)) {
      throw new IOException(file + " is a directory, not a file");
    }
    if (Files.exists(file)) {
      throw new IOException(file + " is not a regular file"); // a pipe is waited on for ever
    }
    boolean dangles = Files.isSymbolicLink(file);
    throw new IOException(
        file
            + (dangles ? " is a link to " + Files.readSymbolicLink(file) + ", which" : "")
            + " does not exist");
  }

  /**
   * Checks that a file is one of the operating system's, which others than Java can open as well.
   *
   * @throws IOException if it is in an archive or the like, or is no regular file
   */
  public static void requireOfSystem(Path file) throws IOException {
    if (file.getFileSystem() != FileSystems.getDefault()) {
      throw new IOException(
          file
              + " is in "
              + file.getFileSystem()
              + ": copy it out, or take the placement resident");
    }
    require(file);
  }

  /** A clone without Git LFS has small texts in place of large files. */
  private static void refusePointer(Path file) throws IOException {
    if (Files.size(file) < LONGEST_POINTER) {
      byte[] start = POINTER.getBytes(StandardCharsets.US_ASCII);
      try (InputStream in = Files.newInputStream(file)) {
        if (Arrays.equals(start, in.readNBytes(start.length))) {
          throw new IOException(
              file
                  + " is a Git LFS pointer, not the file itself: run git lfs pull where it is from");
        }
      }
    }
  }

  /**
   * Opens a file of this program's own for reading and writing, and makes it if need be. Does not
   * follow a link, which somebody else could have put there.
   *
   * @throws IOException if something else is in its place
   */
  public static FileChannel own(Path file) throws IOException {
    if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)
        && !Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(file + " is in the way: it is not a regular file");
    }
    return FileChannel.open(
        file,
        Set.<OpenOption>of(
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE,
            LinkOption.NOFOLLOW_LINKS));
  }

  /**
   * Makes an empty file beside the one that it will replace. Whoever may read other files of this
   * user may read it: temporary files of the JDK are for their owner alone, and stay so when they
   * are moved. Deletes such files that are an hour old: whoever made them was killed.
   */
  public static Path beside(Path target) throws IOException {
    Path name = target.getFileName();
    deleteLeftovers(target.toAbsolutePath().getParent(), name + ".");
    byte[] random = new byte[8];
    RANDOM.nextBytes(random);
    Path file = target.resolveSibling(name + "." + HexFormat.of().formatHex(random) + ".tmp");
    FileChannel.open(file, NEW).close();
    return file;
  }

  /** Whatever cannot be deleted stays: it is no reason not to write. */
  private static void deleteLeftovers(@Nullable Path directory, String prefix) {
    if (directory == null) {
      return;
    }
    FileTime old = FileTime.from(Instant.now().minus(1, ChronoUnit.HOURS));
    try (DirectoryStream<Path> all =
        Files.newDirectoryStream(
            directory,
            file -> {
              String name = String.valueOf(file.getFileName());
              return name.startsWith(prefix)
                  && name.substring(prefix.length()).matches("[0-9a-f]{16}[.]tmp");
            })) {
      for (Path file : all) {
        deleteIfOld(file, old);
      }
    } catch (IOException | DirectoryIteratorException e) {
      LOG.debug("{} cannot be searched for what was left: {}", directory, e.toString());
    }
  }

  private static void deleteIfOld(Path file, FileTime old) {
    try {
      if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
          && Files.getLastModifiedTime(file, LinkOption.NOFOLLOW_LINKS).compareTo(old) < 0) {
        Files.delete(file);
      }
    } catch (IOException e) {
      LOG.debug("{} stays: {}", file, e.toString()); // another user's, or gone meanwhile
    }
  }
}
