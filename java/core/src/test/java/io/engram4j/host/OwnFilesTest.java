package io.engram4j.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.ThrowingSupplier;
import org.junit.jupiter.api.io.TempDir;

/** Files that are waited on, links, and directories that others may write to. */
class OwnFilesTest {
  @TempDir Path directory;

  private static void mode(Path path, String modes) throws IOException {
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString(modes));
  }

  private static String refused(ThrowingSupplier<?> action) {
    return String.valueOf(
        assertTimeoutPreemptively(
            Duration.ofSeconds(20),
            () -> assertThrows(IOException.class, action::get).getMessage()));
  }

  private Path pipe() throws Exception {
    Path pipe = directory.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    return pipe;
  }

  /** A process that is killed while it writes leaves one. */
  @Test
  void oldTemporaryFilesAreDeleted() throws IOException {
    Path target = directory.resolve("map");
    Path left = RegularFiles.beside(target);
    Path underWay = RegularFiles.beside(target);
    Path ofAnother = RegularFiles.beside(directory.resolve("map.bin"));
    Path notOurs = Files.createFile(directory.resolve("map.old.tmp"));
    Path folder = Files.createDirectory(directory.resolve("map.0123456789abcdef.tmp"));
    Files.createFile(folder.resolve("kept"));
    for (Path file : new Path[] {left, ofAnother, notOurs, folder}) {
      Files.setLastModifiedTime(file, FileTime.from(Instant.now().minusSeconds(4000)));
    }
    Path next = RegularFiles.beside(target);
    assertFalse(Files.exists(left));
    for (Path file : new Path[] {underWay, ofAnother, notOurs, folder, next}) {
      assertTrue(Files.exists(file), file.toString());
    }
  }

  @Test
  void onlyRegularFilesAreOpened() throws Exception {
    Path pipe = pipe();
    assertTrue(refused(() -> RegularFiles.read(pipe)).endsWith("pipe is not a regular file"));
    assertTrue(refused(() -> RegularFiles.own(pipe)).contains("pipe is in the way"));
    assertTrue(refused(() -> RegularFiles.read(directory)).endsWith("is a directory, not a file"));
    Path link = Files.createSymbolicLink(directory.resolve("link"), Path.of("nowhere"));
    assertTrue(refused(() -> RegularFiles.read(link)).contains("is a link to nowhere"));
    assertTrue(refused(() -> RegularFiles.read(directory.resolve("no"))).contains("not exist"));
    Path file = Files.write(directory.resolve("file"), new byte[] {1});
    try (FileChannel channel = RegularFiles.read(file)) {
      assertEquals(1, channel.size());
    }
  }

  @Test
  void ownFilesAreNotOpenedThroughLinks() throws IOException {
    Path precious = Files.writeString(directory.resolve("precious"), "precious");
    Path link = Files.createSymbolicLink(directory.resolve("link"), precious);
    assertTrue(refused(() -> RegularFiles.own(link)).contains("link is in the way"));
    Path dangling =
        Files.createSymbolicLink(directory.resolve("dangling"), directory.resolve("new"));
    refused(() -> RegularFiles.own(dangling));
    assertFalse(Files.exists(directory.resolve("new")));
    try (FileChannel made = RegularFiles.own(directory.resolve("own"))) {
      assertEquals(0, made.size());
    }
    assertEquals("precious", Files.readString(precious));
  }

  @Test
  void temporaryFilesHaveTheModesOfOthers() throws IOException {
    Path ordinary = Files.write(directory.resolve("ordinary"), new byte[1]);
    Path beside = RegularFiles.beside(ordinary);
    assertEquals(directory, beside.getParent());
    assertEquals(Files.getPosixFilePermissions(ordinary), Files.getPosixFilePermissions(beside));
  }

  @Test
  void directoriesOfOthersAreRefused() throws IOException {
    Path own = OwnDirectory.make(directory.resolve("own"));
    assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(own)));
    assertEquals(own, OwnDirectory.make(directory.resolve("own")));

    mode(own, "rwxrwxrwx");
    assertTrue(refused(() -> OwnDirectory.make(own)).contains("own may be written by others"));
    mode(own, "rwxrwx---");
    assertTrue(refused(() -> OwnDirectory.require(own)).contains("(mode 770)"));
    mode(own, "rwx----w-");
    assertTrue(refused(() -> OwnDirectory.require(own)).contains("(mode 702)"));
    mode(own, "rwxr-xr-x");
    assertEquals(own.toRealPath(), OwnDirectory.require(own));

    Path deep = OwnDirectory.makeAll(directory.resolve("a").resolve("b"));
    assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(deep)));
    Path link = Files.createSymbolicLink(directory.resolve("link"), own);
    assertTrue(refused(() -> OwnDirectory.make(link)).contains("link is a symbolic link"));
    Path file = Files.write(directory.resolve("file"), new byte[1]);
    assertTrue(refused(() -> OwnDirectory.make(file)).contains("is not a directory"));
    refused(() -> OwnDirectory.require(directory.resolve("no")));
  }

  @Test
  void nobodyMayReplaceADirectoryOnTheWay() throws IOException {
    Path way = Files.createDirectory(directory.resolve("way"));
    Path own = OwnDirectory.make(way.resolve("own"));
    mode(way, "rwxrwxrwx");
    assertTrue(refused(() -> OwnDirectory.require(own)).contains("way may be written by others"));
    Files.setAttribute(way, "unix:mode", 01777); // as /tmp is: others cannot rename it
    assertEquals(own.toRealPath(), OwnDirectory.require(own));
    mode(way, "rwx------");
  }
}
