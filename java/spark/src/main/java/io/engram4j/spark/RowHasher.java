package io.engram4j.spark;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import io.engram4j.model.TokenMap;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.IntToLongFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Hashes documents on a worker: what travels is what hashing needs of the configuration, and the
 * token map, as bytes, whatever serializer Spark has; the model is made of them there, when it is
 * first wanted. Thread-safe.
 */
final class RowHasher implements Serializable {
  private static final long serialVersionUID = 1;
  private static final int NONE = -1;

  private final byte[] parts;
  private transient volatile @Nullable EngramModel model;

  RowHasher(EngramConfig config, TokenMap map) {
    this.model = EngramModel.hashOnly(config, map, Backends.select()); // checks that they fit
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      write(config, map, out);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail
    }
    this.parts = bytes.toByteArray();
  }

  /** Returns the model; two threads may make it at once, and one of both is kept. */
  EngramModel model() {
    EngramModel known = model;
    if (known == null) {
      try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(parts))) {
        known = read(in);
      } catch (IOException | ClassNotFoundException e) {
        throw new IllegalStateException("the broadcast of an Engram model is damaged", e);
      }
      model = known;
    }
    return known;
  }

  private static int orNone(OptionalInt value) {
    return value.orElse(NONE);
  }

  private static OptionalInt optional(int value) {
    return value == NONE ? OptionalInt.empty() : OptionalInt.of(value);
  }

  private static void write(EngramConfig config, TokenMap map, ObjectOutputStream out)
      throws IOException {
    out.writeObject(config.hashing());
    for (int number :
        new int[] {
          config.maxNgram(),
          config.headsPerNgram(),
          config.headDim(),
          config.padTokenId(),
          orNone(config.imageTokenId()),
          orNone(config.barrierTokenId()),
          orNone(config.compressedSize())
        }) {
      out.writeInt(number);
    }
    out.writeLong(config.seed());
    out.writeObject(config.layerIds().stream().mapToInt(Integer::intValue).toArray());
    out.writeObject(config.vocabSizes().stream().mapToLong(Long::longValue).toArray());
    out.writeObject(config.tableRows().stream().mapToLong(Long::longValue).toArray());
    for (LayerLayout layout : EngramLayout.of(config, map.distinct())) {
      out.writeObject(numbers(layout.columns(), layout::prime));
      out.writeObject(numbers(layout.columns(), layout::offset));
      out.writeObject(numbers(layout.maxNgram(), layout::multiplier));
    }
    out.writeObject(map.toArray());
  }

  private static long[] numbers(int count, IntToLongFunction of) {
    return IntStream.range(0, count).mapToLong(of).toArray();
  }

  private static EngramModel read(ObjectInputStream in) throws IOException, ClassNotFoundException {
    EngramConfig.Builder config = EngramConfig.builder().hashing((RowHashing) in.readObject());
    config.hiddenSize(1).branches(1); // what only the gate needs
    int maxNgram = in.readInt();
    int heads = in.readInt();
    config.heads(heads, in.readInt()).padTokenId(in.readInt());
    config.imageTokenId(optional(in.readInt()));
    config.barrierTokenId(optional(in.readInt()));
    config.compressedSize(optional(in.readInt()));
    config.seed(in.readLong());
    int[] layerIds = (int[]) in.readObject();
    config.layerIds(Arrays.stream(layerIds).boxed().toList());
    config.ngrams(maxNgram, longs((long[]) in.readObject()));
    config.tableRows(longs((long[]) in.readObject()));
    List<LayerLayout> layouts = new ArrayList<>();
    for (int layerId : layerIds) {
      long[] sizes = (long[]) in.readObject();
      long[] offsets = (long[]) in.readObject();
      long[] multipliers = (long[]) in.readObject();
      layouts.add(LayerLayout.of(layerId, maxNgram, heads, sizes, offsets, multipliers));
    }
    config.layouts(layouts);
    TokenMap map = TokenMap.of((int[]) in.readObject());
    return EngramModel.hashOnly(config.build(), map, Backends.select());
  }

  private static List<Long> longs(long[] values) {
    return Arrays.stream(values).boxed().toList();
  }

  /** Returns the compressed ids of a document's tokens, -1 for those of images. */
  int @Nullable [] compress(int @Nullable [] ids) {
    if (ids == null) {
      return null;
    }
    EngramSequence sequence = model().newSequence();
    sequence.append(ids);
    int[] compressed = new int[ids.length];
    for (int i = 0; i < compressed.length; i++) {
      compressed[i] = sequence.compressedId(i);
    }
    return compressed;
  }

  /** Returns the row ids of a document's tokens, [tokens, columns]. */
  long @Nullable [] rows(int @Nullable [] ids, int layerId) {
    if (ids == null) {
      return null;
    }
    EngramModel own = model();
    EngramSequence sequence = own.newSequence();
    sequence.append(ids);
    long[] rows = new long[Math.multiplyExact(ids.length, own.config().columns())];
    own.layer(layerId)
        .hash(own.newBatch().add(sequence, 0, ids.length), MemorySegment.ofArray(rows));
    return rows;
  }
}
