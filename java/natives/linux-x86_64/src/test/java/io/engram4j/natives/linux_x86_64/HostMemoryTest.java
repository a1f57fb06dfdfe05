package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.host.Host;
import io.engram4j.host.Hosts;
import io.engram4j.model.Dtype;
import io.engram4j.os.LinuxHost;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Linux's memory, and every placement under the C kernels. */
@SuppressWarnings("restricted")
class HostMemoryTest {
  @TempDir Path directory;

  @Test
  void allocatesInHugePagesWhereThereAreSome() throws IOException {
    Host host = Hosts.find();
    assertInstanceOf(LinuxHost.class, host);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment block = host.memory().allocate((64 << 20) + 5, arena);
      assertEquals((64 << 20) + 5, block.byteSize());
      assertEquals(0, block.address() % (2 << 20), "begins at a huge page");
      block.fill((byte) 1);
      long huge = host.memory().hugePageBytes(block);
      assertTrue(huge >= 0 && huge <= block.byteSize(), huge + " bytes in huge pages");
      host.files().random(block);
      host.files().willNeed(block, 12345, 678);
    }
    try (Arena arena = Arena.ofShared()) {
      IOException e =
          assertThrows(IOException.class, () -> host.memory().allocate(1L << 50, arena));
      assertTrue(String.valueOf(e.getMessage()).contains("" + (1L << 50)), e.toString());
    }
  }

  @Test
  void locksOrNamesTheLimit() throws IOException {
    Host host = Hosts.find();
    try (Arena arena = Arena.ofShared()) {
      MemorySegment block = host.memory().allocate(4 << 20, arena);
      try {
        host.memory().lock(block);
      } catch (IOException e) {
        assertTrue(String.valueOf(e.getMessage()).contains("the limit is"), e.toString());
      }
      MemorySegment unmapped = MemorySegment.ofAddress(4096).reinterpret(1 << 20);
      IOException e = assertThrows(IOException.class, () -> host.memory().lock(unmapped));
      assertTrue(String.valueOf(e.getMessage()).contains("cannot lock 1048576 bytes"), "" + e);
    }
  }

  @Test
  void placesMemoryOnNodes() throws IOException {
    Host host = Hosts.find();
    assertTrue(host.numa().nodes() >= 1);
    try (Arena arena = Arena.ofShared()) {
      for (int node = -1; node < host.numa().nodes(); node++) {
        MemorySegment block = host.memory().allocate(5 << 20, arena);
        host.numa().spread(block, node);
        block.fill((byte) 1);
      }
      assertTrue(host.numa().node() >= 0 && host.numa().node() < host.numa().nodes());
      MemorySegment unmapped = MemorySegment.ofAddress(4096).reinterpret(1 << 20);
      IOException e = assertThrows(IOException.class, () -> host.numa().spread(unmapped, 0));
      assertTrue(String.valueOf(e.getMessage()).contains("1048576 bytes on node"), "" + e);
    }
  }

  @Test
  void tellsWhatOfAFileIsInMemory() throws IOException {
    Host host = Hosts.find();
    long bytes = 64 << 20;
    Path file = directory.resolve("hole");
    try (Arena arena = Arena.ofShared();
        FileChannel channel =
            FileChannel.open(
                file,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE,
                StandardOpenOption.CREATE)) {
      channel.write(ByteBuffer.allocate(1), bytes - 1);
      MemorySegment mapping = channel.map(FileChannel.MapMode.READ_ONLY, 0, bytes, arena);
      host.files().random(mapping);
      assertTrue(host.files().inPageCache(mapping) < 1 << 20, "a hole that nobody has read");
      long half = 0;
      for (long at = 0; at < bytes / 2; at += 4096) {
        half += mapping.get(ValueLayout.JAVA_BYTE, at);
      }
      assertEquals(0, half);
      long cached = host.files().inPageCache(mapping);
      assertTrue(cached >= bytes / 2 && cached < bytes / 2 + (4 << 20), cached + " bytes");
    }
  }

  private static float[] run(EngramModel model, boolean ahead) {
    EngramSequence sequence = model.newSequence();
    SplittableRandom random = new SplittableRandom(4);
    int[] ids = random.ints(150, 0, model.map().size()).toArray();
    sequence.append(ids);
    float[] hidden = new float[ids.length * model.config().streamWidth()];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (float) random.nextGaussian();
    }
    try (var pool = Executors.newFixedThreadPool(2)) {
      EngramBatch batch = model.newBatch().add(sequence, 0, ids.length);
      requireLookup(model, batch);
      if (ahead) {
        batch.prefetch(pool);
      }
      for (EngramLayer layer : model.layers()) {
        layer.apply(batch, hidden);
      }
    }
    return hidden;
  }

  /** All layers' rows at once are those of each layer. */
  private static void requireLookup(EngramModel model, EngramBatch batch) {
    long count = (long) batch.tokens() * model.config().columns();
    long bytes = 2 * count * model.config().headDim();
    int layers = model.layers().size();
    MemorySegment rowIds = Arena.ofAuto().allocate(8 * count * layers);
    MemorySegment rows = Arena.ofAuto().allocate(bytes * layers);
    model.lookup(batch, rowIds, rows, Dtype.BF16);
    for (int i = 0; i < layers; i++) {
      MemorySegment ids = Arena.ofAuto().allocate(8 * count);
      MemorySegment own = Arena.ofAuto().allocate(bytes);
      model.layers().get(i).hash(batch, ids);
      model.layers().get(i).gather(ids, count, own, Dtype.BF16);
      assertEquals(-1, ids.mismatch(rowIds.asSlice(8 * count * i, 8 * count)));
      assertEquals(-1, own.mismatch(rows.asSlice(bytes * i, bytes)));
    }
  }

  /** Rows of every type of ggml, of parts of a file, and of 264 bytes. */
  @Test
  void everyPlacementOfGguf() throws IOException {
    Golden.extract(directory);
    for (String name :
        List.of(
            "mini-v41-gguf/mixed.gguf",
            "mini-v41-gguf-split/mini-00002-of-00004.gguf",
            "mini-v41-gguf-ds4/mini.gguf",
            "mini-ple-gguf/iq4_nl",
            "mini-ple-gguf/q8_0.gguf",
            "mini-ple-gguf/f16.gguf")) {
      ModelFiles files = EngramModels.read(directory.resolve(name));
      float[] expected;
      try (EngramModel model = files.open(Backends.named("cpu"))) {
        expected = run(model, false);
      }
      for (Placement placement : Placement.ofFiles()) {
        TableOptions options =
            TableOptions.defaults().placement(placement).sharedDirectory(directory);
        try (EngramModel model = files.open(Backends.named("cpu"), options)) {
          assertArrayEquals(expected, run(model, false), name + " " + placement);
          assertArrayEquals(expected, run(model, true), name + " " + placement + " ahead");
        }
      }
      TableOptions cached = TableOptions.defaults().placement(Placement.STREAMED).cacheBytes(9999);
      try (EngramModel model = files.open(Backends.named("cpu"), cached)) {
        assertArrayEquals(expected, run(model, false), name + " cached");
        assertArrayEquals(expected, run(model, false), name + " cached, again");
      }
    }
  }

  @Test
  void everyPlacementGivesTheSameStream() throws IOException {
    Golden.extract(directory);
    for (String name : Golden.MODELS) {
      Path shards = directory.resolve(name);
      Path packed = directory.resolve(name + "-packed");
      new DirectoryPacker(EngramDirectory.read(shards), packed, 2, bytes -> {}).pack();
      DirectoryPacker.verify(EngramDirectory.read(packed), 2, bytes -> {});
      float[] expected;
      try (EngramModel model = EngramDirectory.open(shards)) {
        expected = run(model, false);
      }
      for (Path source : List.of(shards, packed)) {
        for (Placement placement : Placement.ofFiles()) {
          TableOptions options =
              TableOptions.defaults().placement(placement).sharedDirectory(directory);
          for (String backend : List.of("cpu", "java")) {
            try (EngramModel model =
                EngramDirectory.read(source).open(Backends.named(backend), options)) {
              float[] first = run(model, false);
              assertArrayEquals(first, run(model, true), placement + " ahead");
              if (backend.equals("cpu")) {
                assertArrayEquals(expected, first, placement + " of " + source);
              }
            }
          }
        }
      }
    }
  }
}
