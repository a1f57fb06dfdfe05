package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.HiddenStream;
import io.engram4j.tck.Golden;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Another library of the process has left the thread with another rounding, or with subnormal
 * numbers flushed to zero: every stage gives the same bits, and leaves the setting.
 */
class ForeignSettingTest {
  private static final int ORDINARY = 0x1f80;
  private static final int SEEN = 0x3f;
  private static final int[] SETTINGS = {
    0x1fc0, // denormals are zeros
    0x9fc0, // and results flushed
    0x3f80, // rounding down
    0x5f80, // up
    0x7f80, // to zero
    0xffc0
  };
  private static final int TOKENS = 200;

  @TempDir Path directory;

  @Test
  void resultsDoNotDependOnIt() throws Exception {
    Golden.extract(directory);
    for (String name : new String[] {"mini-v41", "mini-paper"}) {
      try (EngramModel model =
          EngramDirectory.read(directory.resolve(name)).open(Backends.named("cpu"))) {
        byte[] expected = outcome(model, ORDINARY);
        for (int setting : SETTINGS) {
          assertArrayEquals(
              expected, outcome(model, setting), name + " under " + Integer.toHexString(setting));
        }
      }
    }
  }

  /** Row ids, rows, keys and values, gates and the stream of every layer, as bytes. */
  private static byte[] outcome(EngramModel model, int setting) throws Exception {
    EngramConfig config = model.config();
    SplittableRandom random = new SplittableRandom(5);
    EngramSequence sequence = model.newSequence();
    sequence.append(random.ints(TOKENS, 0, 800).toArray());
    EngramBatch batch = model.newBatch().add(sequence, 0, TOKENS);
    try (Arena arena = Arena.ofShared();
        Setting thread = new Setting(arena)) {
      long ids = 8L * TOKENS * config.columns();
      long rows = 4L * TOKENS * config.rowWidth();
      long kv = 4L * TOKENS * config.kvWidth();
      long stream = 4L * TOKENS * config.streamWidth();
      int layers = model.layers().size();
      MemorySegment all = arena.allocate((ids + rows + kv) * layers + stream, 64);
      MemorySegment data = all.asSlice((ids + rows + kv) * layers);
      for (long i = 0; i < stream; i += 4) {
        data.set(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
      }
      HiddenStream hidden =
          HiddenStream.of(data, Dtype.F32, config.branches(), config.hiddenSize());
      long at = 0;
      for (EngramLayer layer : model.layers()) {
        MemorySegment rowIds = all.asSlice(at, ids);
        MemorySegment row = all.asSlice(at + ids, rows);
        MemorySegment keys = all.asSlice(at + ids + rows, kv);
        thread.set(setting);
        layer.hash(batch, rowIds);
        layer.gather(rowIds, (long) TOKENS * config.columns(), row, Dtype.F32);
        layer.project(row, TOKENS, keys);
        layer.apply(batch, hidden);
        assertEquals(setting, thread.get() & ~SEEN);
        thread.set(ORDINARY);
        at += ids + rows + kv;
      }
      return all.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  /** The thread's MXCSR, by the C library's floating-point environment. */
  private static final class Setting implements AutoCloseable {
    private static final int MXCSR = 28; // in fenv_t, as glibc and musl have it
    private static final MethodHandle GET = function("fegetenv");
    private static final MethodHandle SET = function("fesetenv");

    private final MemorySegment environment;

    Setting(Arena arena) {
      environment = arena.allocate(32, 16);
    }

    @SuppressWarnings("restricted")
    private static MethodHandle function(String name) {
      Linker linker = Linker.nativeLinker();
      return linker.downcallHandle(
          linker.defaultLookup().findOrThrow(name),
          FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
    }

    private static void call(MethodHandle function, MemorySegment argument) {
      try {
        assertEquals(0, (int) function.invokeExact(argument));
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }

    int get() {
      call(GET, environment);
      return environment.get(ValueLayout.JAVA_INT, MXCSR);
    }

    void set(int value) {
      call(GET, environment);
      environment.set(ValueLayout.JAVA_INT, MXCSR, value);
      call(SET, environment);
    }

    @Override
    public void close() {
      set(ORDINARY);
    }
  }
}
