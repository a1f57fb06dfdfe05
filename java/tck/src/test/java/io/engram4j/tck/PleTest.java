package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.EngramRows;
import io.engram4j.EngramSequence;
import io.engram4j.SequenceSnapshot;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.Bf16Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import io.engram4j.model.TokenMap;
import io.engram4j.table.Table;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Qwen's PLE: what is wrong with a directory, what a mistake would look like, its sequences. */
class PleTest {
  private static final String ONE = "model-00001-of-00002.safetensors";
  private static final String TWO = "model-00002-of-00002.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final int END = 983;

  @TempDir static Path golden;
  @TempDir Path directory;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  @BeforeEach
  void copy() throws IOException {
    copy("mini-ple");
  }

  private void copy(String model) throws IOException {
    try (Stream<Path> files = Files.list(golden.resolve(model))) {
      for (Path file : files.toList()) {
        Files.copy(
            file, directory.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
      }
    }
  }

  /** Changes a directory. */
  private interface Change {
    void to(Path directory) throws IOException;
  }

  /** Replaces a text, in headers by one of the same length. */
  private static void edit(Path file, String from, String to) throws IOException {
    String text = Files.readString(file, StandardCharsets.ISO_8859_1);
    assertTrue(text.contains(from), from);
    Files.writeString(file, text.replace(from, to), StandardCharsets.ISO_8859_1);
  }

  private static Arguments change(String name, Change change, String... message) {
    return Arguments.of(name, change, List.of(message));
  }

  private static Change config(String from, String to) {
    return directory -> edit(directory.resolve("config.json"), from, to);
  }

  static Stream<Arguments> wrong() {
    return Stream.of(
        change(
            "another seed",
            config("\"hc_count\"", "\"seed\": 1235, \"hc_count\""),
            "layer 1 tensors: ple_embedding has layer 1: multipliers [",
            "but the configuration gives"),
        change(
            "another vocabulary",
            config("\"vocab_size\": 1000", "\"vocab_size\": 1001"),
            "but the configuration gives"),
        change(
            "a vocabulary beyond any",
            config("\"vocab_size\": 1000", "\"vocab_size\": 1000000000"),
            "a vocabulary of 1000000000 ids is not between 1 and 16777216"),
        change(
            "layers counted from 0",
            config("[\n   2\n  ]", "[0]"),
            "ple_layer_ids has 0, but layers are counted from 1 there"),
        change(
            "a width that does not divide",
            config("\"ple_embed_dim\": 160", "\"ple_embed_dim\": 161"),
            "ple_embed_dim 161 does not divide by 16 heads"),
        change(
            "a divisor of 0",
            config("divisible_by\": 24", "divisible_by\": 0"),
            "make_ngram_vocab_size_divisible_by is 0"),
        change(
            "no end of text",
            config("\"eos_token_id\": 983", "\"x\": 1"),
            "eos_token_id is missing"),
        change(
            "an end of text outside the vocabulary",
            config("\"eos_token_id\": 983", "\"eos_token_id\": 1000"),
            "1000 is outside the vocabulary of 1000 ids"),
        change(
            "more rows than the configuration gives",
            config("divisible_by\": 24", "divisible_by\": 128"),
            "shard_0 to 11 have 3960 rows, but the configuration gives 3968"),
        change(
            "a shard is missing",
            directory -> {
              edit(directory.resolve(TWO), "shard_5", "shard_x");
              edit(directory.resolve(INDEX), "shard_5", "shard_x");
            },
            "shard_5.weight is missing, though there is one of 11"),
        change(
            "a shard has another type",
            directory -> {
              Path file = directory.resolve(ONE);
              String header = Files.readString(file, StandardCharsets.ISO_8859_1);
              int at = header.indexOf("BF16", header.indexOf("shard_4.weight"));
              String changed = header.substring(0, at) + "F16 " + header.substring(at + 4);
              Files.writeString(
                  file, changed.replace("\"F16 \"", "\"F16\" "), StandardCharsets.ISO_8859_1);
            },
            "shard_4.weight has rows of F16, but",
            "has BF16"),
        change(
            "a map that has no use",
            directory -> Files.createFile(directory.resolve("given")),
            "Qwen PLE hashes raw ids"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("wrong")
  void isRefused(String name, Change change, List<String> message) {
    IOException e =
        assertThrows(
            IOException.class,
            () -> {
              change.to(directory);
              Path map = directory.resolve("given");
              EngramModels.read(directory, Files.exists(map) ? map : null)
                  .open(new JavaBackend())
                  .close();
            },
            name);
    for (String part : message) {
      assertTrue(String.valueOf(e.getMessage()).contains(part), e.getMessage());
    }
  }

  @Test
  void aTextOnlyModelHasItsFieldsAtTheTop() throws IOException {
    Path config = directory.resolve("config.json");
    String text = Files.readString(config);
    int from = text.indexOf('{', text.indexOf("text_config"));
    Files.writeString(config, text.substring(from, text.lastIndexOf('}')));
    edit(config, "\"eos_token_id\": 983", "\"eos_token_id\": [983, 7]"); // the first is taken
    assertTrue(passes(new JavaBackend()));
  }

  private boolean passes(Backend backend) throws IOException {
    boolean passed = true;
    for (TruthFiles truth : TruthFiles.of(directory)) {
      try (EngramModel model = EngramModels.read(truth.model()).open(new JavaBackend());
          EngramModel view = model.withBackend(backend)) {
        for (Path file : truth.files()) {
          for (TensorResult result : Verifier.verify(view, file)) {
            passed &= result.passed();
          }
        }
      }
    }
    return passed;
  }

  /** By name shard_10 comes before shard_2. */
  @Test
  void swappedShardsAreSeen() throws IOException {
    assertTrue(passes(new JavaBackend()));
    for (Path file : List.of(directory.resolve(ONE), directory.resolve(INDEX))) {
      edit(file, "shard_2.", "shard_x.");
      edit(file, "shard_4.", "shard_2.");
      edit(file, "shard_x.", "shard_4.");
    }
    assertFalse(passes(new JavaBackend()));
  }

  /** A mistake that a backend may make. */
  private static Backend mistaken(boolean cutsItself, boolean rounds) {
    JavaBackend right = new JavaBackend();
    return new Backend() {
      @Override
      public String name() {
        return "mistaken";
      }

      @Override
      public String description() {
        return "mistaken";
      }

      @Override
      public Hash hash(LayerLayout layout, Arena arena) {
        Hash hash = right.hash(layout, arena);
        return (windows, tokens, rowIds) -> {
          MemorySegment own = MemorySegment.ofArray(new byte[(int) windows.byteSize()]);
          own.copyFrom(windows);
          for (long token = 0; cutsItself && token < tokens; token++) {
            long at = token * layout.maxNgram();
            if (own.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at) == END) {
              for (int shift = 1; shift < layout.maxNgram(); shift++) {
                own.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at + shift, END);
              }
            }
          }
          hash.run(own, tokens, rowIds);
        };
      }

      @Override
      public Gather gather(Table table, Arena arena) {
        Gather gather = right.gather(table, arena);
        return (rowIds, count, out, outType) -> {
          gather.run(rowIds, count, out, outType);
          for (long i = 0; rounds && outType == Dtype.F32 && i < count * table.headDim(); i++) {
            int bits = out.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, i);
            out.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, i, bits & 0xffff0000);
          }
        };
      }

      @Override
      public Project project(io.engram4j.weights.Projection projection, Arena arena) {
        return right.project(projection, arena);
      }

      @Override
      public Gate gate(io.engram4j.weights.GateWeights weights, Arena arena) {
        return right.gate(weights, arena);
      }

      @Override
      public Conv conv(io.engram4j.weights.ConvWeights weights, Arena arena) {
        return right.conv(weights, arena);
      }
    };
  }

  @Test
  void anEndThatCutsItselfIsSeen() throws IOException {
    assertTrue(passes(mistaken(false, false)));
    assertFalse(passes(mistaken(true, false)));
  }

  @Test
  void roundedRowsOfGgufAreSeen() throws IOException {
    for (String name : List.of("mini-ple-gguf/q8_0.gguf", "mini-v41-gguf/mixed.gguf")) {
      TruthFiles truth = TruthFiles.of(golden.resolve(name)).getFirst();
      boolean passed = true;
      try (EngramModel model = EngramModels.read(truth.model()).open(mistaken(false, true))) {
        for (TensorResult result : Verifier.verify(model, truth.files().getFirst())) {
          passed &= result.passed();
        }
      }
      assertFalse(passed, name);
    }
  }

  private static int[] tokens(int count) {
    SplittableRandom random = new SplittableRandom(5);
    int[] ids = new int[count];
    for (int i = 0; i < count; i++) {
      ids[i] = random.nextInt(7) == 0 ? END : random.nextInt(1000);
    }
    return ids;
  }

  private static float[] apply(EngramModel model, EngramSequence sequence, int[] ids) {
    sequence.append(ids);
    float[] hidden = new float[ids.length * model.config().streamWidth()];
    int first = (sequence.length() - ids.length) * model.config().streamWidth();
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (float) Math.sin(first + i); // the same at the same position
    }
    model.layers().getFirst().apply(sequence, ids.length, hidden);
    return hidden;
  }

  /** Whole or in pieces, taken back, forked, from a snapshot, through bytes: the same bits. */
  @Test
  void sequencesGoOnAsTheyMust() throws IOException {
    int[] ids = tokens(60);
    try (EngramModel model = EngramModels.read(directory).open(new JavaBackend());
        EngramModel deep = model.withRollback(40)) {
      EngramSequence whole = deep.newSequence();
      apply(deep, whole, ids);
      float[] expected = apply(deep, whole, new int[] {5, END, 6});
      EngramSequence other = deep.newSequence();
      for (int from = 0; from < 60; ) {
        int some = Math.min(60 - from, 1 + from % 17);
        apply(deep, other, Arrays.copyOfRange(ids, from, from + some));
        from += some;
      }
      EngramSequence forked = other.fork();
      SequenceSnapshot snapshot = SequenceSnapshot.fromBytes(other.snapshot().toBytes());
      apply(deep, other, tokens(40));
      other.truncate(60);
      assertEquals(60, other.length());
      for (EngramSequence each : List.of(other, forked, deep.restore(snapshot))) {
        assertArrayEquals(apply(deep, each, new int[] {5, END, 6}), expected);
      }
    }
  }

  @Test
  void howFarASequenceCanBeTakenBackIsAnOption() throws IOException {
    try (EngramModel model = EngramModels.read(directory).open(new JavaBackend());
        EngramModel shallow = model.withRollback(2);
        EngramModel none = model.withRollback(0)) {
      EngramSequence sequence = shallow.newSequence();
      apply(shallow, sequence, tokens(30));
      apply(shallow, sequence, tokens(20));
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> sequence.truncate(40));
      assertTrue(String.valueOf(e.getMessage()).contains("can take back 2;"), e.getMessage());
      assertEquals(50, sequence.length());
      sequence.truncate(48);
      apply(shallow, sequence, tokens(1));
      EngramSequence once = none.newSequence();
      apply(none, once, tokens(30));
      assertThrows(IllegalStateException.class, () -> once.truncate(29));
      apply(none, once, tokens(1));
      assertThrows(IllegalArgumentException.class, () -> model.withRollback(-1));
      assertThrows(IllegalArgumentException.class, () -> model.withRollback(65_537));
    }
  }

  private static EngramModel shipped() {
    EngramConfig config =
        EngramConfig.builder()
            .hiddenSize(2560)
            .branches(4)
            .layerIds(List.of(1))
            .ngrams(3, 20_000_000)
            .heads(8, 160)
            .padTokenId(248_044)
            .barrierTokenId(OptionalInt.of(248_044))
            .seed(1234)
            .hashing(RowHashing.SPLITMIX64)
            .build();
    return EngramModel.hashOnly(config, TokenMap.identity(248_320), new JavaBackend());
  }

  private static long[] hash(EngramModel model, EngramSequence sequence, int from, int count) {
    long[] rows = new long[count * 16];
    model
        .layers()
        .getFirst()
        .hash(model.newBatch().add(sequence, from, count), MemorySegment.ofArray(rows));
    return rows;
  }

  /** Row ids that others recorded from the published checkpoint. */
  @Test
  void rowIdsAsPublished() throws NoSuchAlgorithmException {
    int[] ids = {9707, 11, 1879, 248_044, 314, 2001, 248_319, 0, 248_044, 248_044, 77};
    try (EngramModel model = shipped()) {
      EngramSequence sequence = model.newSequence();
      sequence.append(ids);
      long[] rows = hash(model, sequence, 0, ids.length);
      assertEquals(16_410_909, rows[0]);
      assertEquals(18_827_606, rows[16 * 3]); // an end of text sees what it ends
      assertEquals(8_260_854, rows[16 * 4]); // and what follows does not
      assertEquals(315_908_561, rows[16 * 10 + 15]);
      ByteBuffer bytes = ByteBuffer.allocate(8 * rows.length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asLongBuffer().put(rows);
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes.array());
      assertEquals(
          "c05ba54684f786b990b68fece6a105e4367ccbd41bdedaa18b4ecc302ee90977",
          HexFormat.of().formatHex(digest));
      EngramSequence other = model.newSequence();
      other.append(new int[] {123, 456, 789});
      assertEquals(2_491_316, hash(model, other, 2, 1)[0]);
      assertThrows(IndexOutOfBoundsException.class, () -> other.append(248_320));
      assertThrows(IndexOutOfBoundsException.class, () -> other.append(-1));
    }
  }

  /** Ends of text in every place, against the definition written down another way. */
  @Test
  void endsOfTextAnywhere() {
    long[] multipliers = {23703573157769L, 20109073645365L, 8052911324071L};
    SplittableRandom random = new SplittableRandom(9);
    try (EngramModel model = shipped()) {
      LayerLayout layout = model.layers().getFirst().layout();
      for (int turn = 0; turn < 200; turn++) {
        int[] ids = new int[random.nextInt(1, 12)];
        for (int i = 0; i < ids.length; i++) {
          ids[i] = random.nextBoolean() ? 248_044 : random.nextInt(248_320);
        }
        EngramSequence sequence = model.newSequence();
        sequence.append(ids);
        long[] rows = hash(model, sequence, 0, ids.length);
        for (int t = 0; t < ids.length; t++) {
          long mix = ids[t] * multipliers[0];
          boolean ended = false;
          for (int lag = 1; lag <= 2; lag++) {
            ended |= t - lag < 0 || ids[t - lag] == 248_044;
            mix ^= (ended ? 248_044 : ids[t - lag]) * multipliers[lag];
            for (int head = 0; head < 8; head++) {
              int column = 8 * (lag - 1) + head;
              long row = Math.floorMod(mix, layout.prime(column)) + layout.offset(column);
              assertEquals(row, rows[16 * t + column], Arrays.toString(ids));
            }
          }
        }
      }
    }
  }

  /** Only Qwen's engines round so. */
  @Test
  void roundedStagesAreOfThisFamily() throws IOException {
    try (EngramModel other =
        EngramModels.read(golden.resolve("mini-v41")).open(new JavaBackend())) {
      assertThrows(IllegalStateException.class, other::withBf16Stages);
    }
    assertTrue(new Bf16Backend(new JavaBackend()).description().contains("in bf16"));
  }

  /** The same rows from the model, from its tables alone, and from packed ones. */
  @Test
  void tablesAlone() throws IOException {
    for (String name : List.of("mini-ple", "mini-ple-fp8", "mini-v41", "mini-paper")) {
      Path source = golden.resolve(name);
      EngramDirectory read = EngramDirectory.read(source);
      int layer = read.config().layerIds().getFirst();
      Path alone = directory.resolve(name);
      Files.createDirectories(alone);
      try (Stream<Path> files = Files.list(source)) {
        for (Path file :
            files.filter(f -> f.getFileName().toString().startsWith("model")).toList()) {
          Files.copy(file, alone.resolve(file.getFileName()));
        }
      }
      Path packed = directory.resolve(name + "-packed");
      new DirectoryPacker(read, packed, 1, bytes -> {}).pack();
      Path manifest = directory.resolve(name + "-raw");
      raw(EngramDirectory.read(packed), layer, packed, manifest);
      long rows = read.tableFile(layer).rows();
      long[] ids = new SplittableRandom(3).longs(50, -1, rows).toArray();
      int width = read.config().headDim();
      float[] expected = new float[ids.length * width];
      try (EngramModel model = read.open(new JavaBackend())) {
        model
            .layer(layer)
            .gather(
                MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(expected), Dtype.F32);
      }
      for (Path path : List.of(source, alone, packed, manifest)) {
        EngramRows opened = EngramModels.openRows(path);
        assertEquals(rows, opened.rows(layer), path.toString());
        assertEquals(width, opened.width(layer));
        float[] actual = new float[expected.length];
        MemorySegment out = MemorySegment.ofArray(actual);
        opened.gather(layer, MemorySegment.ofArray(ids), ids.length, out, Dtype.F32);
        assertArrayEquals(expected, actual, path.toString());
        long[] outside = {rows};
        assertThrows(
            IndexOutOfBoundsException.class,
            () -> opened.gather(layer, MemorySegment.ofArray(outside), 1, out, Dtype.F32));
        opened.close();
        assertThrows(
            IllegalStateException.class,
            () -> opened.gather(layer, MemorySegment.ofArray(ids), 1, out, Dtype.F32));
      }
    }
    IOException e =
        assertThrows(IOException.class, () -> EngramModels.openRows(golden.resolve("formats")));
    assertTrue(String.valueOf(e.getMessage()).contains("formats"), e.getMessage());
  }

  /** Cuts the rows out of a packed file, and says in a manifest what they are. */
  private static void raw(EngramDirectory packed, int layer, Path from, Path to)
      throws IOException {
    Files.createDirectories(to);
    byte[] all = Files.readAllBytes(from.resolve("engram-layer-" + layer + ".rows"));
    long bytes = packed.tableFile(layer).bytes();
    Files.write(to.resolve("rows.bin"), Arrays.copyOfRange(all, 4096, (int) (4096 + bytes)));
    Files.writeString(
        to.resolve("engram-rows.json"),
        """
        {"row_type": "%s", "width": %d, "factor": %s,
         "tables": [{"layer": %d, "file": "rows.bin"}]}
        """
            .formatted(
                packed.tableFile(layer).type(),
                packed.config().headDim(),
                packed.tableFile(layer).factor(),
                layer));
  }
}
