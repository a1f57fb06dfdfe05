package io.engram4j.rivals;

import io.engram4j.mpi.MpiRanks;
import io.engram4j.train.Recipe;
import io.engram4j.train.Trainer;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.BpeTrainer;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.ranks.LocalRows;
import io.engram4j.train.ranks.MappedRanks;
import io.engram4j.train.ranks.OwnedRows;
import io.engram4j.train.ranks.Ranks;
import io.engram4j.train.ranks.RowOwners;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Trains the small recipe, with 100,000 rows a column, by one process and by several of a thread
 * each, in turns: {@code ci/bench-train ranks TEXT [ROUNDS]}. Prints tokens a second and the loss
 * of the last steps, medians of the rounds.
 */
public final class RankRace {
  private static final int STEPS = 60;
  private static final int WARMUP = 15;
  private static final int ROWS = 100_000;

  private RankRace() {}

  /** One way to train: how many ranks, threads of each, and what they are. */
  private record Way(String name, int ranks, int threads, String how) {}

  private static final List<Way> WAYS =
      List.of(
          new Way("1 process, 1 thread", 1, 1, "alone"),
          new Way("1 process, 2 threads", 1, 2, "alone"),
          new Way("2 processes own rows, mapped files", 2, 1, "owned"),
          new Way("2 processes own rows, Open MPI", 2, 1, "mpirun.openmpi"),
          new Way("2 processes own rows, MPICH", 2, 1, "mpirun.mpich"),
          new Way("2 processes share tables", 2, 1, "shared"),
          new Way("4 processes own rows, mapped files", 4, 1, "owned"),
          new Way("4 processes own rows, Open MPI", 4, 1, "mpirun.openmpi"),
          new Way("4 processes own rows, MPICH", 4, 1, "mpirun.mpich"),
          new Way("4 processes share tables", 4, 1, "shared"));

  /** Runs the race; or, with a way's name for arguments, a rank of it. */
  public static void main(String[] args) throws IOException, InterruptedException {
    if (args.length > 2) {
      rank(Path.of(args[0]), args[1], Integer.parseInt(args[2]), args);
      return;
    }
    int rounds = args.length > 1 ? Integer.parseInt(args[1]) : 3;
    Path directory = Files.createTempDirectory("rank-race");
    try {
      String text = Files.readString(Path.of(args[0]));
      new BpeTrainer().add(text).train(2048).write(directory.resolve("tokenizer.json"));
      Files.writeString(directory.resolve("text"), text);
      Map<Way, List<double[]>> results = new LinkedHashMap<>();
      for (int round = 0; round < rounds; round++) {
        for (Way way : WAYS) {
          results.computeIfAbsent(way, any -> new ArrayList<>()).add(run(way, directory));
        }
      }
      results.forEach(RankRace::print);
    } finally {
      delete(directory);
    }
  }

  private static void print(Way way, List<double[]> results) {
    double[] rates = results.stream().mapToDouble(result -> result[0]).sorted().toArray();
    double[] losses = results.stream().mapToDouble(result -> result[1]).sorted().toArray();
    System.out.printf(
        Locale.ROOT,
        "%-36s %,6.0f tokens/s (%,.0f to %,.0f), loss %.4f (%.4f to %.4f)%n",
        way.name(),
        rates[rates.length / 2],
        rates[0],
        rates[rates.length - 1],
        losses[losses.length / 2],
        losses[0],
        losses[losses.length - 1]);
  }

  private static double[] run(Way way, Path directory) throws IOException, InterruptedException {
    Path run = Files.createDirectory(directory.resolve("run"));
    List<Process> processes = new ArrayList<>();
    try {
      if (way.how().startsWith("mpirun")) {
        processes.add(start(way, directory, 0));
      } else {
        for (int rank = 0; rank < way.ranks(); rank++) {
          processes.add(start(way, directory, rank));
        }
      }
      for (Process process : processes) {
        if (process.waitFor() != 0) {
          throw new IllegalStateException(way + " ended with " + process.exitValue());
        }
      }
      String[] line = Files.readString(run.resolve("result")).split(" ", 2);
      return new double[] {Double.parseDouble(line[0]), Double.parseDouble(line[1])};
    } finally {
      processes.forEach(Process::destroyForcibly);
      delete(run);
    }
  }

  private static Process start(Way way, Path directory, int rank) throws IOException {
    List<String> command = new ArrayList<>();
    if (way.how().startsWith("mpirun")) {
      command.addAll(List.of(way.how(), "-n", "" + way.ranks()));
      if (way.how().endsWith("openmpi")) {
        command.addAll(List.of("--oversubscribe", "--allow-run-as-root"));
      }
    }
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of(
            "-XX:+UseSerialGC",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            System.getProperty("java.class.path"),
            RankRace.class.getName(),
            directory.toString(),
            way.how(),
            "" + rank,
            "" + way.ranks(),
            "" + way.threads()));
    return new ProcessBuilder(command).inheritIO().start();
  }

  private static void rank(Path directory, String how, int rank, String[] args) throws IOException {
    int size = Integer.parseInt(args[3]);
    Bpe bpe = Bpe.read(directory.resolve("tokenizer.json"));
    Recipe recipe = Recipe.small().withRows(ROWS);
    int[] ids = bpe.encode(Files.readString(directory.resolve("text")));
    PackedDocuments data = new PackedDocuments("text", List.of(ids), recipe.shape().context(), 1);
    EngramMemory memory = recipe.memory(bpe);
    List<TableShape> tables = memory.tables(TableShape.of(1, 1));
    Path run = directory.resolve("run");
    try (Ranks ranks = ranks(run, how, rank, size);
        Decoder decoder =
            new Decoder(recipe.shape(bpe), memory, owners(how, ranks, tables, run), 1);
        Trainer trainer =
            new Trainer(decoder, data, recipe.options().withThreads(Integer.parseInt(args[4])))) {
      long began = 0;
      double loss = 0;
      for (int step = 0; step < STEPS; step++) {
        if (step == WARMUP) {
          began = System.nanoTime();
        }
        double last = trainer.step().loss();
        loss += step < STEPS - 10 ? 0 : last / 10;
      }
      double tokens =
          (double) (STEPS - WARMUP) * recipe.options().batch() * recipe.shape().context();
      double rate = tokens / ((System.nanoTime() - began) / 1e9);
      if (ranks.rank() == 0) {
        Files.writeString(run.resolve("result"), rate + " " + loss);
      }
    }
  }

  private static Ranks ranks(Path run, String how, int rank, int size) throws IOException {
    if (how.equals("alone")) {
      return Ranks.alone();
    }
    Duration patience = Duration.ofMinutes(1);
    return how.startsWith("mpirun")
        ? MpiRanks.join(patience)
        : MappedRanks.join(run.resolve("ranks"), rank, size, patience);
  }

  private static RowOwners owners(String how, Ranks ranks, List<TableShape> tables, Path run)
      throws IOException {
    return switch (how) {
      case "alone" -> LocalRows.of(tables.stream().map(TrainableTable::inMemory).toList());
      case "shared" -> LocalRows.shared(ranks, tables, run);
      default -> OwnedRows.inMemory(ranks, tables);
    };
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
