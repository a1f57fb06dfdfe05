package io.engram4j.cli;

import io.engram4j.EngramBatch;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.ModelFiles;
import io.engram4j.memo.KeyCounter;
import io.engram4j.memo.NgramCounter;
import io.engram4j.table.RowSeed;
import io.engram4j.table.RowType;
import io.engram4j.table.io.TableFile;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Counts which rows and n-grams a corpus wants, and how many of them a cache would serve. */
@Command(
    name = "profile",
    header = "Count which rows and n-grams texts want, and what a cache of them serves.",
    description =
        "Shows what share of lookups a cache of the most wanted rows would serve, by its size, and"
            + " what share of projections a memo of the most frequent n-grams. Needs no tensors to"
            + " count.")
final class ProfileCommand implements Callable<Integer> {
  private static final int CHUNK = 4096;
  private static final int ROW_INTS = 2; // a row id, low half first
  private static final int MOST_ROWS = 1 << 27; // places of a counter: 2 GB

  @Mixin ModelOptions model = new ModelOptions();
  @Mixin Output output = new Output();

  @ArgGroup(exclusive = false, multiplicity = "1")
  Corpus corpus = new Corpus();

  static final class Corpus {
    @Option(
        names = "--file",
        paramLabel = "FILE",
        description =
            "A file of UTF-8 text, a directory with nothing else, or - for standard input; can be"
                + " given again.")
    List<Path> files = List.of();

    @Option(names = "--text", paramLabel = "T", description = "A text itself; can be given again.")
    List<String> texts = List.of();
  }

  @Option(
      names = "--seed",
      paramLabel = "FILE",
      description = "Write the most wanted rows here, for the cache of streamed tables.")
  @Nullable Path seed;

  @Option(names = "--svg", paramLabel = "FILE", description = "Draw the shares into this file.")
  @Nullable Path svg;

  @Option(
      names = "--rows",
      paramLabel = "N",
      defaultValue = "100000",
      description = "How many rows of each layer the seed holds (default ${DEFAULT-VALUE}).")
  int rows;

  @Option(
      names = "--ngram-seed",
      paramLabel = "FILE",
      description = "Write the most frequent n-grams here, for the memo of projections.")
  @Nullable Path ngramSeed;

  @Option(
      names = "--ngrams",
      paramLabel = "N",
      defaultValue = "100000",
      description = "How many n-grams that seed holds (default ${DEFAULT-VALUE}).")
  int ngrams;

  @Override
  public Integer call() throws IOException {
    if (rows < 1 || ngrams < 1) {
      throw new IllegalArgumentException("--rows and --ngrams must be at least 1");
    }
    ModelFiles directory = model.read();
    Map<String, Object> json = new LinkedHashMap<>();
    try (TextTokenizer tokenizer = TextTokenizer.open(directory.tokenizerJson());
        EngramModel hashing = directory.openForHashing(ModelOptions.backend(null))) {
      List<Path> files = files();
      KeyCounter[] counters = new KeyCounter[hashing.layers().size()];
      Arrays.setAll(counters, i -> new KeyCounter(ROW_INTS, MOST_ROWS));
      NgramCounter ngramCounter =
          new NgramCounter(hashing.config().maxNgram(), hashing.map().distinct());
      long tokens = 0;
      int texts = files.size() + corpus.texts.size();
      try (Progress progress = new Progress("profile", texts, " texts", 1)) {
        for (int i = 0; i < texts; i++) {
          String text =
              i < files.size()
                  ? TextInput.readFile(files.get(i))
                  : TextInput.readText(corpus.texts.get(i - files.size()));
          int[] ids = tokenizer.encode(text);
          count(hashing, ids, counters, ngramCounter);
          tokens += ids.length;
          progress.step(1);
        }
      }
      output.line("%s tokens of %s texts", Text.count(tokens), Text.count(texts));
      json.put("tokens", tokens);
      json.put("texts", texts);
      show(directory, hashing, counters, json);
      showNgrams(hashing, ngramCounter, json);
      if (svg != null) {
        draw(hashing, counters, tokens, svg);
        json.put("svg", svg.toString());
      }
      if (seed != null) {
        write(directory, hashing, counters, seed);
        json.put("seed", seed.toString());
      }
      if (ngramSeed != null) {
        ngramCounter.seed(ngrams).save(ngramSeed);
        output.line("seed of n-grams written to %s", ngramSeed);
        json.put("ngram_seed", ngramSeed.toString());
      }
    }
    output.json(json);
    return 0;
  }

  private List<Path> files() throws IOException {
    List<Path> files = new ArrayList<>();
    for (Path text : corpus.files) {
      if (Files.isDirectory(text)) {
        try (Stream<Path> below = Files.walk(text)) {
          below.filter(Files::isRegularFile).sorted().forEach(files::add);
        }
      } else {
        files.add(text);
      }
    }
    return files;
  }

  /** Each text is a sequence of its own. */
  private static void count(
      EngramModel hashing, int[] ids, KeyCounter[] rows, NgramCounter ngrams) {
    EngramSequence sequence = hashing.newSequence();
    long columns = hashing.config().columns();
    int[] row = new int[ROW_INTS];
    try (Arena arena = Arena.ofConfined();
        EngramBatch batch = hashing.newBatch()) {
      MemorySegment rowIds = arena.allocate(8 * columns * CHUNK, 64);
      for (int from = 0; from < ids.length; from += CHUNK) {
        int some = Math.min(CHUNK, ids.length - from);
        sequence.append(ids, from, some);
        batch.clear().add(sequence, from, some);
        ngrams.add(batch.windows(), batch.mask(), some);
        for (int i = 0; i < rows.length; i++) {
          hashing.layers().get(i).hash(batch, rowIds);
          for (long k = 0; k < some * columns; k++) {
            long id = rowIds.getAtIndex(ValueLayout.JAVA_LONG, k);
            row[0] = (int) id;
            row[1] = (int) (id >>> 32);
            rows[i].add(row);
          }
        }
      }
    }
  }

  /** The share of all lookups that the most wanted rows serve. */
  private static double share(KeyCounter.Ranked ranked, int rows, KeyCounter counter) {
    return counter.total() == 0 ? 0 : (double) ranked.served(rows) / counter.total();
  }

  private static long[] ids(KeyCounter.Ranked ranked) {
    long[] ids = new long[ranked.counts().length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] =
          (ranked.keys()[ROW_INTS * i] & 0xffffffffL)
              | ((long) ranked.keys()[ROW_INTS * i + 1] << 32);
    }
    return ids;
  }

  /** As the layer's table has them, or in fp8 where there is no table. */
  private static long rowBytes(ModelFiles files, int layer) {
    try {
      return files.tableFile(layer).rowBytes();
    } catch (IOException e) {
      return RowType.F8_E4M3.rowBytes(files.config().headDim());
    }
  }

  private void show(
      ModelFiles files, EngramModel hashing, KeyCounter[] counters, Map<String, Object> json) {
    List<List<String>> table = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (int i = 0; i < counters.length; i++) {
      KeyCounter.Ranked ranked = counters[i].ranked(Integer.MAX_VALUE);
      int id = hashing.layers().get(i).id();
      long rowBytes = rowBytes(files, id);
      for (int size = 1000; size < 10 * counters[i].distinct(); size *= 10) {
        int held = Math.min(size, counters[i].distinct());
        double share = share(ranked, held, counters[i]);
        Map<String, Object> object = new LinkedHashMap<>();
        object.put("layer", id);
        object.put("rows", held);
        object.put("bytes", held * rowBytes);
        object.put("share", share);
        objects.add(object);
        table.add(
            List.of(
                "" + id,
                Text.count(held),
                Text.bytes(held * rowBytes),
                String.format(Locale.ROOT, "%.1f%%", 100 * share)));
        if (held < size) {
          break;
        }
      }
    }
    output.table(List.of("layer", "most wanted rows", "size", "of lookups"), table);
    json.put("layers", objects);
  }

  private void showNgrams(EngramModel hashing, NgramCounter counter, Map<String, Object> json) {
    List<List<String>> table = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (int held = 0; held < counter.distinct(); ) {
      held = (int) Math.min(Math.max(1000, 10L * held), counter.distinct());
      long bytes = 4L * hashing.config().kvWidth() * held;
      double share = (double) counter.served(held) / counter.total();
      objects.add(Map.of("ngrams", held, "bytes", bytes, "share", share));
      String percent = String.format(Locale.ROOT, "%.1f%%", 100 * share);
      table.add(List.of(Text.count(held), Text.bytes(bytes), percent));
    }
    output.line("");
    output.table(List.of("most frequent n-grams", "in a layer's memo", "of projections"), table);
    json.put("ngrams", objects);
  }

  private void draw(EngramModel hashing, KeyCounter[] counters, long tokens, Path file)
      throws IOException {
    List<SharePlot.Line> lines = new ArrayList<>();
    for (int i = 0; i < counters.length; i++) {
      KeyCounter.Ranked ranked = counters[i].ranked(Integer.MAX_VALUE);
      int powers = 33 - Integer.numberOfLeadingZeros(Math.max(1, ranked.counts().length));
      double[] shares = new double[powers];
      for (int power = 0; power < powers; power++) {
        shares[power] = share(ranked, 1 << power, counters[i]);
      }
      lines.add(new SharePlot.Line("layer " + hashing.layers().get(i).id(), shares));
    }
    List<String> names =
        new ArrayList<>(corpus.files.stream().map(each -> "" + each.getFileName()).toList());
    names.addAll(corpus.texts.isEmpty() ? List.of() : List.of(corpus.texts.size() + " texts"));
    SharePlot.write(
        file, String.join(", ", names) + ": share of row lookups, " + tokens + " tokens", lines);
    output.line("drawn into %s", file);
  }

  private void write(ModelFiles directory, EngramModel hashing, KeyCounter[] counters, Path file)
      throws IOException {
    Map<String, long[]> wanted = new LinkedHashMap<>();
    for (int i = 0; i < counters.length; i++) {
      TableFile table = directory.tableFile(hashing.layers().get(i).id());
      wanted.put(table.name(), ids(counters[i].ranked(rows)));
    }
    new RowSeed(wanted).save(file);
    output.line("seed written to %s", file);
  }
}
