package io.engram4j.os;

import io.engram4j.host.AsyncFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Files that io_uring reads, past the page cache if all their file systems can. */
final class UringFiles implements AsyncFiles {
  private static final int CLOSE_ON_EXEC = 02000000;
  private static final int DIRECT = directFlag(System.getProperty("os.arch"));

  private final int[] files;
  private final boolean direct;

  UringFiles(List<Path> paths) throws IOException {
    this.files = new int[paths.size()];
    this.direct = open(paths, DIRECT);
    if (!direct && !open(paths, 0)) {
      throw new IOException(paths + " cannot be opened to be read");
    }
  }

  /** The one flag whose number the architectures do not share. */
  private static int directFlag(String architecture) {
    return architecture.equals("aarch64") ? 0200000 : 040000;
  }

  /** Opens all files, or none. */
  private boolean open(List<Path> paths, int flag) {
    int opened = 0;
    try {
      while (opened < files.length) {
        int file = Libc.open(paths.get(opened).toString(), CLOSE_ON_EXEC | flag);
        if (file < 0) {
          return false;
        }
        files[opened++] = file;
      }
      return true;
    } finally {
      for (int i = 0; opened < files.length && i < opened; i++) {
        Libc.close(files[i]);
      }
    }
  }

  @Override
  public boolean isDirect() {
    return direct;
  }

  @Override
  public long size(int file) throws IOException {
    long size = Libc.size(files[file]);
    if (size < 0) {
      throw new IOException("the size of an open file cannot be read: errno " + -size);
    }
    return size;
  }

  @Override
  public Queue newQueue(int depth, int bytes) throws IOException {
    return new Uring(files, depth, bytes);
  }

  @Override
  public void close() {
    for (int file : files) {
      Libc.close(file);
    }
  }
}
