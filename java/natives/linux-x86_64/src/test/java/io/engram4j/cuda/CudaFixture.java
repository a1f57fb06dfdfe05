package io.engram4j.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A small model, batches and streams for tests on a device, which is the shim. */
abstract class CudaFixture {
  static final List<Integer> LAYERS = List.of(1, 14);
  static final int TOKENS = 9;

  @TempDir static Path directory;
  final SplittableRandom random = new SplittableRandom(5);
  EngramModel model = open(Placement.MAPPED);

  @BeforeAll
  static void shim() {
    Shim.use();
  }

  static EngramModel open(Placement placement) {
    return open(directory, placement);
  }

  static EngramModel open(Path directory, Placement placement) {
    try {
      if (!directory.resolve("config.json").toFile().exists()) {
        RandomModel.small(96, 4, LAYERS).write(directory, bytes -> {});
        ByteTokenizer.write(directory);
      }
      return EngramDirectory.read(directory)
          .open(new MappedJava(), TableOptions.defaults().placement(placement));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @BeforeEach
  void nothingIsHeld() {
    requireNothingHeld();
  }

  @AfterEach
  void nothingIsLeft() {
    Shim.recover();
    model.close();
    requireNothingHeld();
  }

  static void requireNothingHeld() {
    for (Shim.Count what :
        List.of(
            Shim.Count.DEVICE_ALLOCATIONS,
            Shim.Count.HOST_ALLOCATIONS,
            Shim.Count.REGISTRATIONS,
            Shim.Count.STREAMS,
            Shim.Count.EVENTS)) {
      assertEquals(0, Shim.count(what), what.toString());
    }
  }

  /** A batch of random tokens, of which every fourth is dead, as an image's are. */
  EngramBatch batch(int tokens) {
    EngramSequence sequence = model.newSequence();
    int[] ids = random.ints(tokens, 0, 200).toArray();
    boolean[] dead = new boolean[tokens];
    for (int i = 3; i < tokens; i += 4) {
      dead[i] = true;
    }
    sequence.append(ids, dead);
    return model.newBatch().add(sequence, 0, tokens);
  }

  /** Random hidden states of a batch. */
  MemorySegment stream(int tokens, Dtype type) {
    int elements = tokens * 4 * 96;
    MemorySegment data = Arena.ofAuto().allocate((long) elements * type.bytes(), 64);
    HiddenStream hidden = HiddenStream.of(data, type, 4, 96);
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < 4; branch++) {
        for (int i = 0; i < 96; i++) {
          hidden.set(hidden.at(token, branch), i, (float) random.nextGaussian());
        }
      }
    }
    return data;
  }

  /** A step whose results come back when they are asked for. */
  static final class OnDevice implements AutoCloseable {
    private final DeviceMemory memory = new DeviceMemory(0);
    final CudaStream stream = CudaStream.create(0);
    final MemorySegment hidden;
    private final MemorySegment back;
    private final Dtype type;

    OnDevice(MemorySegment data, Dtype type) {
      this.type = type;
      this.hidden = memory.upload(data);
      this.back = memory.pinned(data.byteSize());
    }

    void apply(CudaStep step) {
      for (int layer : LAYERS) {
        step.apply(layer, stream, CudaHidden.of(hidden, type, 4, 96));
      }
    }

    HiddenStream result() {
      stream.copy(back, hidden, back.byteSize());
      stream.synchronize();
      return HiddenStream.of(back, type, 4, 96);
    }

    byte[] read(MemorySegment from, long bytes) {
      try (DeviceMemory own = new DeviceMemory(0)) {
        MemorySegment to = own.pinned(bytes);
        stream.copy(to, from, bytes);
        stream.synchronize();
        return to.toArray(ValueLayout.JAVA_BYTE);
      }
    }

    @Override
    public void close() {
      stream.synchronize();
      memory.close();
      stream.close();
    }
  }

  HiddenStream onHost(EngramBatch batch, MemorySegment data, Dtype type) {
    MemorySegment copy = Arena.ofAuto().allocate(data.byteSize(), 64).copyFrom(data);
    HiddenStream hidden = HiddenStream.of(copy, type, 4, 96);
    for (EngramLayer layer : model.layers()) {
      layer.apply(batch, hidden);
    }
    return hidden;
  }

  static void requireClose(HiddenStream expected, HiddenStream actual, int tokens) {
    double bound = expected.dtype() == Dtype.F32 ? 2e-5 : 4e-2;
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < 4; branch++) {
        long at = expected.at(token, branch);
        for (int i = 0; i < 96; i++) {
          float value = expected.get(at, i);
          assertEquals(value, actual.get(at, i), bound * (1 + Math.abs(value)), "token " + token);
        }
      }
    }
  }

  void requireRows(CudaStep step, EngramBatch batch, OnDevice device, Dtype type) {
    int columns = model.config().columns();
    long count = (long) LAYERS.size() * batch.tokens() * columns;
    MemorySegment ids = Arena.ofAuto().allocate(8 * count);
    MemorySegment rows = Arena.ofAuto().allocate(count * 32 * type.bytes());
    model.lookup(batch, ids, rows, type);
    long bytes = rows.byteSize() / LAYERS.size();
    for (int i = 0; i < LAYERS.size(); i++) {
      byte[] expected = rows.asSlice(i * bytes, bytes).toArray(ValueLayout.JAVA_BYTE);
      assertArrayEquals(expected, device.read(step.rows(LAYERS.get(i)), bytes), "layer " + i);
    }
  }
}
