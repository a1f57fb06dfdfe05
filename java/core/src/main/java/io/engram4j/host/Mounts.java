package io.engram4j.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What kind of file system a file lies on. */
public final class Mounts {
  private static final Pattern NETWORK =
      Pattern.compile(
          "(nfs|cifs|smb|fuse|lustre|ceph|gluster|9p|beegfs|gpfs|afs|orangefs|ocfs|virtiofs).*");

  private Mounts() {}

  /**
   * Returns the type of a file's file system if other processes or machines serve it, so that it
   * may be lost while it is used; else null, or if nobody tells.
   */
  public static @Nullable String served(Path file) {
    try {
      String type = Files.getFileStore(file).type();
      return NETWORK.matcher(type.toLowerCase(Locale.ROOT)).matches() ? type : null;
    } catch (IOException | SecurityException e) {
      return null;
    }
  }
}
