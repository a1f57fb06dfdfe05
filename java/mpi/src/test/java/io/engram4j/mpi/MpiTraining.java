package io.engram4j.mpi;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.train.TrainOptions;
import io.engram4j.train.Trainer;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.ranks.LocalRows;
import io.engram4j.train.ranks.OwnedRows;
import io.engram4j.train.ranks.Ranks;
import io.engram4j.train.ranks.Reduction;
import io.engram4j.train.ranks.RowOwners;
import io.engram4j.train.table.TableShape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;

/**
 * A rank of a job of MPI, or one process alone: {@code DIRECTORY train|shared|exchange|stay|null
 * STEPS [alone]}. Rank 0 prints.
 */
final class MpiTraining {
  private static final int VOCABULARY = 60;

  private MpiTraining() {}

  private static Sequences data() {
    SplittableRandom random = new SplittableRandom(4);
    List<int[]> documents = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      documents.add(random.ints(5 + i, 0, VOCABULARY).toArray());
    }
    return new PackedDocuments("random", documents, 16, 1);
  }

  public static void main(String[] args) throws IOException, InterruptedException {
    Path directory = Path.of(args[0]);
    int steps = Integer.parseInt(args[2]);
    try (Ranks ranks = args.length > 3 ? Ranks.alone() : MpiRanks.join(Duration.ofSeconds(10))) {
      switch (args[1]) {
        case "exchange" -> exchange(ranks, steps);
        case "stay" -> stay(ranks);
        case "null" -> nulls(ranks, steps);
        default -> train(ranks, directory, args[1].equals("shared"), steps);
      }
    }
  }

  private static void train(Ranks ranks, Path directory, boolean shared, int steps)
      throws IOException {
    Path own = Files.createDirectories(directory.resolve("rank-" + ranks.rank()));
    DecoderShape shape = new DecoderShape(VOCABULARY, 16, 2, 2, 24, 2, 16);
    TokenMap map = TokenMap.identity(VOCABULARY);
    EngramConfig config =
        EngramConfig.builder()
            .family(EngramForm.V41.family())
            .hiddenSize(16)
            .branches(2)
            .layerIds(List.of(0, 1))
            .ngrams(3, 500)
            .heads(2, 32)
            .compressedSize(OptionalInt.of(map.distinct()))
            .build();
    EngramMemory memory = EngramMemory.of(EngramForm.V41, config, map);
    List<TableShape> tables = memory.tables(TableShape.of(1, 1));
    TrainOptions options = TrainOptions.defaults(60).withBatch(8, 2).withThreads(1);
    long last = Trainer.lastStep(own, ranks);
    RowOwners owners =
        shared
            ? LocalRows.shared(ranks, tables, directory)
            : OwnedRows.inFiles(ranks, tables, own, last);
    try (Decoder decoder = new Decoder(shape, memory, owners, 1);
        Trainer trainer =
            last < 0
                ? new Trainer(decoder, data(), options)
                : Trainer.resume(own, decoder, data(), options)) {
      while (trainer.stepsDone() < steps) {
        double loss = trainer.step().loss();
        if (ranks.rank() == 0) {
          System.out.println(loss);
        }
        if (trainer.stepsDone() % 4 == 0) {
          trainer.checkpoint(own);
        }
      }
      trainer.checkpoint(own);
    }
  }

  /** What rank {@code from} sends {@code to}. */
  private static int[] part(int round, int from, int to) {
    SplittableRandom random = new SplittableRandom(round * 1_000_003L + from * 1009L + to);
    return random.ints(random.nextInt(1 << random.nextInt(15))).toArray();
  }

  private static void exchange(Ranks ranks, int rounds) {
    long sum = 0;
    int size = ranks.size();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment send = arena.allocate((4L << 15) * size, 64);
      for (int round = 0; round < rounds; round++) {
        long[] at = new long[size];
        long[] bytes = new long[size];
        for (int to = 0; to < size; to++) {
          int[] part = part(round, ranks.rank(), to);
          at[to] = (4L << 15) * to;
          bytes[to] = 4L * part.length;
          MemorySegment.copy(part, 0, send, ValueLayout.JAVA_INT, at[to], part.length);
        }
        List<MemorySegment> received = ranks.exchange(send, at, bytes);
        for (int from = 0; from < size; from++) {
          int[] expected = part(round, from, ranks.rank());
          if (!Arrays.equals(expected, received.get(from).toArray(ValueLayout.JAVA_INT))) {
            throw new IllegalStateException("wrong in round " + round + " from " + from);
          }
          sum += expected.length;
        }
      }
    }
    try (Reduction reduction = new Reduction(ranks)) {
      double total = reduction.sum((double) sum)[0];
      if (ranks.rank() == 0) {
        System.out.println(total);
      }
    }
  }

  /** Rank 1 neither comes nor dies. */
  private static void stay(Ranks ranks) throws InterruptedException {
    if (ranks.rank() == 1) {
      Thread.sleep(600_000);
    }
    exchange(ranks, 1);
  }

  private static int length(String text) {
    return text.length(); // compiled, it tests nothing: a null is a signal
  }

  /** Takes null pointers, which reach the JVM as the signals that a library might take. */
  private static void nulls(Ranks ranks, int count) {
    String[] texts = new String[2];
    int caught = 0;
    for (int i = 0; i < count; i++) {
      try {
        caught -= length(texts[i % 2]);
      } catch (NullPointerException e) {
        caught++;
      }
    }
    exchange(ranks, 10);
    if (ranks.rank() == 0) {
      System.out.println(caught);
    }
  }
}
