package io.engram4j.tck;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** What a text of tokens gives, by plain Java from whole files. Immutable. */
final class SoakTruth {
  static final float START = 0.25f;
  private static final int TOKENS = 300;

  private final int[] tokens;
  private final List<long[]> rowIds; // per layer [tokens, columns]
  private final List<float[]> rows; // per layer [tokens, rowWidth]
  private final List<float[]> streams; // per layer [tokens, streamWidth], from START everywhere

  private SoakTruth(int[] tokens, List<long[]> rowIds, List<float[]> rows, List<float[]> streams) {
    this.tokens = tokens;
    this.rowIds = rowIds;
    this.rows = rows;
    this.streams = streams;
  }

  int length() {
    return tokens.length;
  }

  /** Appends the next tokens of the text. */
  void append(EngramSequence sequence, int count) {
    sequence.append(tokens, sequence.length(), count);
  }

  static SoakTruth of(Path directory) throws IOException {
    TableOptions options = TableOptions.defaults().placement(Placement.RESIDENT);
    try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend(), options)) {
      int[] tokens = new SplittableRandom(11).ints(TOKENS, 0, 800).toArray();
      EngramSequence sequence = model.newSequence();
      sequence.append(tokens);
      var batch = model.newBatch().add(sequence, 0, TOKENS);
      List<long[]> allIds = new ArrayList<>();
      List<float[]> allRows = new ArrayList<>();
      List<float[]> allStreams = new ArrayList<>();
      for (EngramLayer layer : model.layers()) {
        long[] ids = new long[TOKENS * model.config().columns()];
        layer.hash(batch, MemorySegment.ofArray(ids));
        float[] rows = new float[TOKENS * model.config().rowWidth()];
        layer.gather(
            MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(rows), Dtype.F32);
        float[] stream = new float[TOKENS * model.config().streamWidth()];
        java.util.Arrays.fill(stream, START);
        layer.apply(sequence, TOKENS, stream);
        allIds.add(ids);
        allRows.add(rows);
        allStreams.add(stream);
      }
      return new SoakTruth(tokens, allIds, allRows, allStreams);
    }
  }

  /** Checks row ids of tokens from a position on: to the bit. */
  void checkIds(int layer, int position, long[] actual) throws IOException {
    int width = rowIds.get(layer).length / tokens.length;
    for (int i = 0; i < actual.length; i++) {
      if (actual[i] != rowIds.get(layer)[position * width + i]) {
        throw new IOException("a wrong row id in layer " + layer + ", token " + position);
      }
    }
  }

  /** Checks rows of tokens from a position on: to the bit. */
  void checkRows(int layer, int position, float[] actual) throws IOException {
    int width = rows.get(layer).length / tokens.length;
    for (int i = 0; i < actual.length; i++) {
      float expected = rows.get(layer)[position * width + i];
      if (Float.floatToRawIntBits(actual[i]) != Float.floatToRawIntBits(expected)) {
        throw new IOException("a wrong row in layer " + layer + ", token " + position);
      }
    }
  }

  /** Checks streams of tokens from a position on: as backends may differ. */
  void checkStream(int layer, int position, float[] actual) throws IOException {
    int width = streams.get(layer).length / tokens.length;
    for (int i = 0; i < actual.length; i++) {
      float expected = streams.get(layer)[position * width + i];
      if (!(Math.abs(actual[i] - expected) <= 1e-4 * (1 + Math.abs(expected)))) {
        throw new IOException(
            "the stream of layer "
                + layer
                + ", token "
                + position
                + " is "
                + actual[i]
                + ", not "
                + expected);
      }
    }
  }
}
