package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Files that become shorter while they serve: on every backend and in every placement that needs
 * them an exception that names what was read, no wrong rows, and a process that goes on.
 */
class ShrinkingFileTest {
  private static final int TOKENS = 60;

  @TempDir Path directory;
  private Path source;

  @BeforeEach
  void extract() throws IOException {
    Golden.extract(directory);
    source = directory.resolve("mini-v41");
  }

  private Path copy(String name) throws IOException {
    Path copy = Files.createDirectory(directory.resolve(name));
    try (Stream<Path> files = Files.list(source)) {
      for (Path file : files.toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    return copy;
  }

  private static void cut(Path file) throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      open.setLength(8192);
    }
  }

  private static EngramModel open(Path path, Backend backend, Placement placement)
      throws IOException {
    TableOptions options = TableOptions.defaults().placement(placement).sharedDirectory(path);
    return EngramDirectory.read(path).open(backend, options);
  }

  /** One model on one sequence. */
  private record Run(EngramModel model, EngramSequence sequence) {
    static Run of(EngramModel model) {
      EngramSequence sequence = model.newSequence();
      int[] tokens = new int[TOKENS];
      for (int i = 0; i < TOKENS; i++) {
        tokens[i] = i * 131 % 800;
      }
      sequence.append(tokens);
      return new Run(model, sequence);
    }

    float[] apply(EngramLayer layer) {
      float[] hidden = new float[TOKENS * model.config().streamWidth()];
      Arrays.fill(hidden, 0.25f);
      layer.apply(sequence, TOKENS, hidden);
      return hidden;
    }

    List<float[]> applyAll() {
      return model.layers().stream().map(this::apply).toList();
    }
  }

  /** Every layer gives what it gave before, or says that its file is gone; returns how many do. */
  private static int requireRightOrRefused(Run run, List<float[]> expected) {
    int refused = 0;
    for (int i = 0; i < expected.size(); i++) {
      try {
        assertArrayEquals(expected.get(i), run.apply(run.model.layers().get(i)));
      } catch (UncheckedIOException e) {
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains("engram"), message); // a tensor's name, or a file's
        refused++;
      }
    }
    return refused;
  }

  @Test
  void everyBackendInEveryPlacement() throws IOException {
    try (EngramModel other = open(copy("other"), Backends.named("cpu"), Placement.MAPPED)) {
      Run bystander = Run.of(other);
      List<float[]> calm = bystander.applyAll();
      for (String name : List.of("cpu", "java")) {
        for (Placement placement : Placement.ofFiles()) {
          if (placement == Placement.PINNED) {
            continue; // as resident, where memory may be locked
          }
          Path path = copy(name + "-" + placement);
          try (EngramModel model = open(path, Backends.named(name), placement)) {
            Run run = Run.of(model);
            List<float[]> expected = run.applyAll();
            for (int i = 0; i < 20; i++) {
              run.applyAll(); // compiled, as after a while of serving
            }
            cut(path.resolve("model-00001-of-00002.safetensors"));
            cut(path.resolve("model-00002-of-00002.safetensors"));
            int refused = 0;
            for (int i = 0; i < 3; i++) {
              refused += requireRightOrRefused(run, expected);
            }
            boolean mapped = placement == Placement.MAPPED || placement == Placement.AUTO;
            assertTrue(refused > 0 || !mapped, name + " " + placement);
          }
          for (int i = 0; i < calm.size(); i++) {
            assertArrayEquals(calm.get(i), bystander.applyAll().get(i));
          }
        }
      }
    }
  }

  @Test
  void packedRowsLookupsAndPrefetches() throws IOException {
    Path packed = directory.resolve("packed");
    new DirectoryPacker(EngramDirectory.read(source), packed, 1, bytes -> {}).pack();
    try (EngramModel model = open(packed, Backends.named("cpu"), Placement.MAPPED);
        Arena arena = Arena.ofShared()) {
      Run run = Run.of(model);
      List<float[]> expected = run.applyAll();
      cut(packed.resolve("engram-layer-14.rows"));
      assertEquals(1, requireRightOrRefused(run, expected));
      EngramBatch batch = model.newBatch().add(run.sequence, 0, TOKENS);
      int columns = model.config().columns();
      MemorySegment ids = arena.allocate(8L * 2 * TOKENS * columns, 64);
      MemorySegment rows = arena.allocate(4L * 2 * TOKENS * model.config().rowWidth(), 64);
      UncheckedIOException lost =
          assertThrows(UncheckedIOException.class, () -> model.lookup(batch, ids, rows, Dtype.F32));
      assertTrue(String.valueOf(lost.getMessage()).contains("layers.14."), lost.getMessage());
      batch.prefetch(Runnable::run);
      float[] hidden = new float[TOKENS * model.config().streamWidth()];
      Arrays.fill(hidden, 0.25f);
      model.layers().getFirst().apply(batch, hidden);
      assertArrayEquals(expected.getFirst(), hidden);
      EngramLayer second = model.layers().getLast();
      UncheckedIOException ahead =
          assertThrows(UncheckedIOException.class, () -> second.apply(batch, hidden));
      assertTrue(
          String.valueOf(ahead.getMessage()).contains("engram-layer-14.rows"), ahead.getMessage());
    }
  }

  /** Threads at once, some of whose models lose their file, over and over. */
  @Test
  void manyThreads() throws Exception {
    Path steady = copy("steady");
    ExecutorService threads = Executors.newFixedThreadPool(6);
    List<Future<Integer>> results = new ArrayList<>();
    try (EngramModel whole = open(steady, Backends.named("cpu"), Placement.MAPPED)) {
      List<float[]> expected = Run.of(whole).applyAll();
      for (int thread = 0; thread < 6; thread++) {
        Path own = copy("thread" + thread);
        boolean loses = thread % 2 == 0;
        Callable<Integer> serve =
            () -> {
              int refused = 0;
              try (EngramModel model = open(own, Backends.named("cpu"), Placement.MAPPED)) {
                Run run = Run.of(model);
                Run shared = Run.of(whole);
                for (int i = 0; i < 60; i++) {
                  if (loses && i == 10) {
                    cut(own.resolve("model-00001-of-00002.safetensors"));
                    cut(own.resolve("model-00002-of-00002.safetensors"));
                  }
                  refused += requireRightOrRefused(run, expected);
                  assertEquals(0, requireRightOrRefused(shared, expected));
                }
              }
              assertEquals(loses, refused > 0);
              return refused;
            };
        results.add(threads.submit(serve));
      }
      for (Future<Integer> result : results) {
        assertTrue(result.get() >= 0);
      }
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void theGuardIsThereByDefault() {
    String description = Backends.named("cpu").description();
    assertFalse(description.contains("unguarded"), description);
  }
}
