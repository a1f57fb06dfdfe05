package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A directory that changes while it is opened ends in a model or an IOException. */
class ChangingDirectoryTest {
  @TempDir Path directory;

  @BeforeEach
  void write() throws IOException {
    SmallModel.write(directory);
  }

  /** Plain Java in which one method ends as reads of a page that is gone do. */
  private static Backend gone(String method) {
    Backend java = new JavaBackend();
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (proxy, called, args) -> {
              if (called.getName().equals(method)) {
                throw new InternalError("a fault occurred in an unsafe memory access operation");
              }
              try {
                return called.invoke(java, args);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  @Test
  void aPageThatIsGoneIsAnIoException() throws IOException {
    for (String method : List.of("hash", "project", "gate")) {
      EngramDirectory read = EngramDirectory.read(directory);
      IOException e = assertThrows(IOException.class, () -> read.open(gone(method)), method);
      assertTrue(String.valueOf(e.getMessage()).contains("shrunk while it was opened"), method);
    }
  }

  @Test
  void rewrittenFilesEndInAModelOrAnIoException() throws Exception {
    List<Path> files;
    try (Stream<Path> all = Files.list(directory)) {
      files = all.toList();
    }
    List<byte[]> whole = files.stream().map(ChangingDirectoryTest::bytes).toList();
    AtomicReference<Throwable> failure = new AtomicReference<>();
    long end = System.nanoTime() + 4_000_000_000L;
    Thread writer =
        Thread.ofPlatform()
            .start(() -> {
              SplittableRandom random = new SplittableRandom(24);
              try {
                while (System.nanoTime() < end) {
                  rewrite(random, files, whole);
                }
              } catch (Throwable e) {
                failure.set(e);
              }
            });
    int opened = 0;
    int refused = 0;
    SplittableRandom random = new SplittableRandom(25);
    while (writer.isAlive()) {
      Placement placement = random.nextBoolean() ? Placement.STREAMED : Placement.RESIDENT;
      TableOptions options = TableOptions.defaults().placement(placement).queueDepth(2);
      try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend(), options)) {
        assertEquals(List.of(1, 3), model.config().layerIds());
        opened++;
      } catch (IOException e) {
        refused++;
      }
    }
    assertEquals(null, failure.get());
    assertTrue(opened > 10 && refused > 10, opened + " opened, " + refused + " refused");
  }

  private static byte[] bytes(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void rewrite(SplittableRandom random, List<Path> files, List<byte[]> whole)
      throws IOException, InterruptedException {
    int i = random.nextInt(files.size());
    Path file = files.get(i);
    byte[] bytes = whole.get(i);
    switch (random.nextInt(4)) {
      case 0 -> Files.delete(file);
      case 1 -> Files.write(file, new byte[0]);
      case 2 -> Files.write(file, java.util.Arrays.copyOf(bytes, random.nextInt(bytes.length)));
      default -> {
        byte[] changed = bytes.clone();
        changed[random.nextInt(bytes.length)] = (byte) random.nextInt();
        Files.write(file, changed);
      }
    }
    Thread.sleep(random.nextInt(2));
    Files.write(file, bytes);
    Thread.sleep(random.nextInt(2));
  }
}
