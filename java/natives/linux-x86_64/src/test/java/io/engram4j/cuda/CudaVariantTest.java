package io.engram4j.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.cuda.CudaOptions.Tables;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSet;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What not every model has: convolutions and replaced rows, on a device as on the host. */
class CudaVariantTest extends CudaFixture {
  private EngramModel paper(Path directory) throws IOException {
    Golden.extract(directory);
    return EngramDirectory.read(directory.resolve("mini-paper"))
        .open(new MappedJava(), TableOptions.defaults().placement(Placement.MAPPED));
  }

  /** One step of a model with convolutions on the device, beside the same on the host. */
  private final class Beside implements AutoCloseable {
    final EngramModel paper;
    final CudaModel cuda;
    final CudaStep step;
    final CudaStream stream = CudaStream.create(0);
    final int branches;
    final int size;

    Beside(EngramModel paper, int maxTokens) {
      this.paper = paper;
      this.cuda = CudaModel.open(paper, 0, CudaOptions.defaults());
      this.step = cuda.newStep(maxTokens);
      this.branches = paper.config().branches();
      this.size = paper.config().hiddenSize();
    }

    /** Runs both and compares all layers, one by one. */
    void run(EngramBatch device, EngramBatch host, String what) {
      int tokens = device.tokens();
      float[] hidden = new float[tokens * branches * size];
      for (int i = 0; i < hidden.length; i++) {
        hidden[i] = (float) random.nextGaussian();
      }
      float[] expected = hidden.clone();
      try (DeviceMemory memory = new DeviceMemory(0)) {
        MemorySegment bytes = memory.pinned(4L * hidden.length);
        MemorySegment data = memory.upload(MemorySegment.ofArray(hidden));
        step.prefetch(device);
        for (EngramLayer layer : paper.layers()) {
          layer.apply(host, expected);
          step.apply(layer.id(), stream, CudaHidden.of(data, Dtype.F32, branches, size));
          stream.copy(bytes, data, bytes.byteSize());
          stream.synchronize();
          float[] actual = bytes.toArray(ValueLayout.JAVA_FLOAT);
          for (int i = 0; i < actual.length; i++) {
            assertEquals(expected[i], actual[i], 2e-5 * (1 + Math.abs(expected[i])), what);
          }
        }
      }
    }

    @Override
    public void close() {
      step.close();
      stream.close();
      cuda.close();
      paper.close();
    }
  }

  /** Chunks of one token to many, drafts that are taken back, and forks. */
  @Test
  void convolutionsSeeWhatWasBefore(@TempDir Path golden) throws IOException {
    try (Beside both = new Beside(paper(golden), 70)) {
      EngramSequence device = both.paper.newSequence();
      EngramSequence host = both.paper.newSequence();
      for (int round = 0; round < 40; round++) {
        int count = round % 7 == 0 ? 70 : 1 + random.nextInt(20);
        int[] ids = random.ints(count, 0, both.paper.map().size()).toArray();
        device.append(ids);
        host.append(ids);
        int from = host.length() - count;
        both.run(
            both.paper.newBatch().add(device, from, count),
            both.paper.newBatch().add(host, from, count),
            "round " + round);
        if (round % 3 == 0) {
          int kept = host.length() - Math.min(count, 5);
          device.truncate(kept);
          host.truncate(kept);
        } else if (round % 3 == 1) {
          device = device.fork();
          host = host.fork();
        }
      }
      // and what the device computed goes on on the host
      int[] ids = {1, 2, 3};
      float[] one = new float[3 * both.branches * both.size];
      Arrays.fill(one, 0.5f);
      float[] other = one.clone();
      device.append(ids);
      host.append(ids);
      both.paper.layers().getLast().apply(device, 3, one);
      both.paper.layers().getLast().apply(host, 3, other);
      for (int i = 0; i < one.length; i++) {
        assertEquals(other[i], one[i], 2e-5 * (1 + Math.abs(other[i])));
      }
    }
  }

  /** Several sequences, one of them in two parts, and dead tokens. */
  @Test
  void convolutionsOfManySequences(@TempDir Path golden) throws IOException {
    try (Beside both = new Beside(paper(golden), 64)) {
      EngramBatch device = both.paper.newBatch();
      EngramBatch host = both.paper.newBatch();
      for (int i = 0; i < 5; i++) {
        int[] ids = random.ints(10, 0, both.paper.map().size()).toArray();
        boolean[] dead = new boolean[10];
        dead[3] = i % 2 == 0;
        for (EngramBatch batch : List.of(device, host)) {
          EngramSequence sequence = both.paper.newSequence();
          sequence.append(ids, dead);
          batch.add(sequence, 0, 4).add(sequence, 4, 6);
        }
      }
      both.run(device, host, "five sequences");
    }
  }

  @Test
  void tokensThatWereNotSeenAreTold(@TempDir Path golden) throws IOException {
    try (Beside both = new Beside(paper(golden), 8)) {
      EngramSequence sequence = both.paper.newSequence();
      sequence.append(new int[] {1, 2, 3, 4});
      both.step.prefetch(both.paper.newBatch().add(sequence, 2, 2));
      int layer = both.paper.layers().getFirst().id();
      try (DeviceMemory memory = new DeviceMemory(0)) {
        MemorySegment data = memory.allocate(4L * 8 * both.branches * both.size);
        CudaHidden hidden = CudaHidden.of(data, Dtype.F32, both.branches, both.size);
        IllegalStateException told =
            assertThrows(
                IllegalStateException.class, () -> both.step.apply(layer, both.stream, hidden));
        assertTrue(String.valueOf(told.getMessage()).contains("token 2"), told.toString());
        both.step.prefetch(both.paper.newBatch().add(sequence, 0, 4));
        sequence.truncate(2);
        told =
            assertThrows(
                IllegalStateException.class, () -> both.step.apply(layer, both.stream, hidden));
        assertTrue(String.valueOf(told.getMessage()).contains("truncated"), told.toString());
        both.stream.synchronize();
      }
    }
  }

  /** A set that is put on while the device serves, wherever its tables lie, and taken off again. */
  @ParameterizedTest
  @EnumSource(Tables.class)
  void replacedRowsReachTheDevice(Tables tables) {
    for (Dtype type : List.of(Dtype.F32, Dtype.BF16)) {
      EngramBatch batch = batch(TOKENS);
      MemorySegment data = stream(TOKENS, Dtype.F32);
      CudaOptions options = CudaOptions.defaults().tables(tables).rows(type);
      try (CudaModel cuda = CudaModel.open(model, 0, options);
          CudaStep step = cuda.newStep(TOKENS);
          OnDevice device = new OnDevice(data, Dtype.F32)) {
        for (int round = 0; round < 3; round++) {
          if (round == 1) {
            model.overlay().put(facts(batch));
          } else if (round == 2) {
            model.overlay().remove("facts");
          }
          step.prefetch(batch);
          LAYERS.forEach(layer -> step.await(layer, device.stream));
          requireRows(step, batch, device, type);
        }
        model.overlay().put(facts(batch));
        step.prefetch(batch);
        device.apply(step);
        HiddenStream expected = onHost(batch, data, Dtype.F32);
        if (type == Dtype.F32) {
          requireClose(expected, device.result(), TOKENS);
        }
        model.overlay().remove("facts");
      }
    }
  }

  /** Replaces every third row that a batch wants. */
  private RowSet facts(EngramBatch batch) {
    List<RowSet.Row> rows = new ArrayList<>();
    for (EngramLayer layer : model.layers()) {
      long columns = layer.layout().columns();
      MemorySegment ids = Arena.ofAuto().allocate(8 * columns * batch.tokens());
      layer.hash(batch, ids);
      long[] wanted =
          Arrays.stream(ids.toArray(ValueLayout.JAVA_LONG))
              .filter(id -> id >= 0 && id % 3 == 0)
              .distinct()
              .toArray();
      for (long id : wanted) {
        float[] values = new float[model.config().headDim()];
        for (int i = 0; i < values.length; i++) {
          values[i] = (float) random.nextGaussian();
        }
        rows.add(new RowSet.Row(layer.id(), id, values));
      }
    }
    return new RowSet("facts", rows);
  }
}
