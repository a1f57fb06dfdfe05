package io.engram4j.host;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/**
 * Directories into which nobody but this user, or root, can have put anything. Above them a group
 * with the user's own number may write, which many systems give each user. Where a file system has
 * no owners and modes, as on Windows, every directory counts as such.
 */
public final class OwnDirectory {
  private static final int OTHERS_WRITE = 0022;
  private static final int GROUP_WRITES = 0020;
  private static final int STICKY = 01000;
  private static final int MODE = 07777;
  private static final int ROOT = 0;

  private OwnDirectory() {}

  /**
   * Makes a directory that is for this user alone, if it is not there.
   *
   * @return its path without links
   * @throws IOException if it cannot be made, or others can put files into what is there; the
   *     message says who and where
   */
  public static Path make(Path directory) throws IOException {
    Path absolute = directory.toAbsolutePath().normalize();
    if (hasModes(absolute)) {
      try {
        Set<PosixFilePermission> modes = PosixFilePermissions.fromString("rwx------");
        Files.createDirectory(absolute, PosixFilePermissions.asFileAttribute(modes));
      } catch (FileAlreadyExistsException e) {
        return require(absolute);
      }
    } else {
      Files.createDirectories(absolute);
    }
    return require(absolute);
  }

  /**
   * Makes a directory and those above it that are not there, for this user alone.
   *
   * @return its path without links
   * @throws IOException as {@link #require} does
   */
  public static Path makeAll(Path directory) throws IOException {
    Path absolute = directory.toAbsolutePath().normalize();
    if (hasModes(absolute)) {
      Set<PosixFilePermission> modes = PosixFilePermissions.fromString("rwx------");
      Files.createDirectories(absolute, PosixFilePermissions.asFileAttribute(modes));
    } else {
      Files.createDirectories(absolute);
    }
    return require(absolute);
  }

  /**
   * Checks that others can neither put files into a directory nor put another in its place.
   *
   * @return its path without links, to be used instead
   * @throws IOException if they can, saying who and where
   */
  public static Path require(Path directory) throws IOException {
    Path real = directory.toRealPath();
    if (!hasModes(directory)) {
      return real;
    }
    if (Files.isSymbolicLink(directory)) {
      throw new IOException(directory + " is a symbolic link");
    }
    int self = self();
    for (Path at = real; at != null; at = at.getParent()) {
      int owner = (int) Files.getAttribute(at, "unix:uid");
      int mode = (int) Files.getAttribute(at, "unix:mode");
      if (!Files.isDirectory(at)) {
        throw new IOException(at + " is not a directory");
      }
      if (owner != self && owner != ROOT) {
        throw new IOException(at + " belongs to user " + owner + ", not to user " + self);
      }
      int writers = mode & OTHERS_WRITE;
      if (!at.equals(real) && self != ROOT && (int) Files.getAttribute(at, "unix:gid") == self) {
        writers &= ~GROUP_WRITES; // a group of this user's own, as many systems give each one
      }
      boolean shared = writers != 0;
      boolean protects = (mode & STICKY) != 0 && !at.equals(real);
      if (shared && !protects) {
        throw new IOException(
            at + " may be written by others (mode " + Integer.toOctalString(mode & MODE) + ")");
      }
    }
    return real;
  }

  private static boolean hasModes(Path directory) {
    return directory.getFileSystem().supportedFileAttributeViews().contains("unix");
  }

  /** Returns whether a file is this user's, as far as can be told. */
  public static boolean isOwner(Path file) {
    try {
      return hasModes(file) && (int) Files.getAttribute(file, "unix:uid") == self();
    } catch (IOException e) {
      return false;
    }
  }

  /** Returns what tells this process's user from others: the number, else the name. */
  public static String user() {
    try {
      if (hasModes(Path.of("").toAbsolutePath())) {
        return Integer.toString(self());
      }
    } catch (IOException e) {
      // neither /proc nor temporary files
    }
    return System.getProperty("user.name", "user").replaceAll("[^A-Za-z0-9]", "_");
  }

  /** Returns this process's user, as the owner of what it makes. */
  private static int self() throws IOException {
    Path process = Path.of("/proc/self");
    if (Files.exists(process)) {
      return (int) Files.getAttribute(process, "unix:uid");
    }
    Path file = Files.createTempFile("engram4j-", ".uid");
    try {
      return (int) Files.getAttribute(file, "unix:uid");
    } finally {
      Files.delete(file);
    }
  }
}
