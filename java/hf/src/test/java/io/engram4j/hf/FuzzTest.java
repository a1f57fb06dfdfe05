package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.SequenceSnapshot;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.NgramSeed;
import io.engram4j.model.TokenMap;
import io.engram4j.model.TokenMapFile;
import io.engram4j.table.RowSeed;
import io.engram4j.table.RowSet;
import io.engram4j.table.io.PackedFile;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged inputs, thousands of them: each is read or refused with an IOException, and nothing else
 * happens. {@code ci/fuzz} runs more of them, or the same again.
 */
class FuzzTest {
  private static final int INPUTS = Integer.getInteger("engram.fuzz.inputs", 100_000);
  @TempDir Path directory;

  /** Reads one damaged input. */
  private interface Reader {
    void read(byte[] input) throws IOException;
  }

  private static int fuzz(String name, byte[] base, int inputs, Reader reader) throws IOException {
    return fuzz(name, base, inputs, Mutations::damaged, reader);
  }

  private static int fuzz(
      String name,
      byte[] base,
      int inputs,
      BiFunction<byte[], SplittableRandom, byte[]> damage,
      Reader reader)
      throws IOException {
    long seed = Long.getLong("engram.fuzz.seed", System.nanoTime());
    int refused = 0;
    for (int i = 0; i < inputs; i++) {
      byte[] input = damage.apply(base, new SplittableRandom(seed + i));
      try {
        reader.read(input);
      } catch (IOException e) {
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError(
            name
                + " input "
                + i
                + ", repeat with -Dengram.fuzz.seed="
                + (seed + i)
                + ": "
                + new String(input, StandardCharsets.ISO_8859_1),
            e);
      }
    }
    String line =
        "fuzzed " + name + " (seed " + seed + ", " + refused + " refused), inputs: " + inputs;
    System.out.println(line);
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(counts.resolve("fuzz-" + name.replace(' ', '-') + ".txt"), line + "\n");
    assertTrue(refused > inputs / 4, line);
    return inputs - refused;
  }

  @Test
  void configurations() throws IOException {
    byte[] base = SmallModel.CONFIG.getBytes(StandardCharsets.UTF_8);
    int read =
        fuzz(
            "config.json",
            base,
            INPUTS / 5,
            input -> {
              JsonNode node = Json.parseObject("config.json", input);
              ConfigReader.parse("config.json", node);
            });
    assertTrue(read > 0, "every input was refused");
  }

  @Test
  void tokenizers() throws IOException {
    byte[] base = SmallModel.TOKENIZER.getBytes(StandardCharsets.UTF_8);
    int read =
        fuzz(
            "tokenizer.json",
            base,
            INPUTS / 5,
            input -> {
              TokenizerJson vocabulary = TokenizerJson.read("t", new ByteArrayInputStream(input));
              TokenMap.build(vocabulary);
            });
    assertTrue(read > 0, "every input was refused");
  }

  @Test
  void headers() throws IOException {
    Path file = directory.resolve("base.safetensors");
    SmallModel.shard(file, SmallModel.tensors(1, 60));
    Path damaged = directory.resolve("damaged.safetensors");
    int read =
        fuzz(
            "safetensors header",
            Files.readAllBytes(file),
            INPUTS * 3 / 20,
            input -> {
              Files.write(damaged, input);
              for (TensorInfo tensor : SafetensorsFile.open(damaged).tensors().values()) {
                try (var arena = Arena.ofConfined()) {
                  SafetensorsFile.map(tensor, arena);
                }
              }
            });
    assertTrue(read > 0, "every input was refused");
  }

  /** One file again and again. */
  private int file(
      String name,
      int inputs,
      BiFunction<byte[], SplittableRandom, byte[]> damage,
      FileReader reader)
      throws IOException {
    Path file = directory.resolve("file");
    byte[] base = Files.readAllBytes(file);
    return fuzz(
        name,
        base,
        inputs,
        damage,
        input -> {
          Files.write(file, input);
          reader.read(file);
        });
  }

  /** Reads one damaged file. */
  private interface FileReader {
    void read(Path file) throws IOException;
  }

  @Test
  void indices() throws IOException {
    SmallModel.write(directory);
    Path index = directory.resolve("model.safetensors.index.json");
    int read =
        fuzz(
            "shard index",
            Files.readAllBytes(index),
            INPUTS / 20,
            input -> {
              Files.write(index, input);
              ShardIndex.read(directory);
            });
    assertTrue(read > 0, "every input was refused");
  }

  /** Those that we write ourselves; most have a checksum that fits. */
  @Test
  void smallFiles() throws IOException {
    Path file = directory.resolve("file");
    int each = INPUTS / 20;
    TokenMap map =
        TokenMap.build(TokenizerJson.read(SmallModel.write(directory).resolve("tokenizer.json")));
    TokenMapFile.save(map, file);
    file("token map", each, Mutations::checked, TokenMapFile::load);
    new RowSet("a set", List.of(new RowSet.Row(1, 7, new float[4]))).save(file);
    file("row set", each, Mutations::checked, RowSet::load);
    new RowSeed(Map.of("layers.1", new long[] {1, 2, 3}, "layers.3", new long[] {4})).save(file);
    file("seed of rows", each, Mutations::checked, RowSeed::load);
    new NgramSeed(3, 100, new int[] {1, 2, -1, 3, 4, 5}).save(file);
    file("seed of n-grams", each, Mutations::checked, NgramSeed::load);
  }

  /** A packed table is mapped when it is opened, and its rows are read. */
  @Test
  void packedTables() throws IOException {
    EngramDirectory source =
        EngramDirectory.read(SmallModel.write(Files.createDirectory(directory.resolve("model"))));
    Path packed = directory.resolve("packed");
    Path file = new DirectoryPacker(source, packed, 1, done -> {}).pack().getFirst();
    Files.copy(file, directory.resolve("file"));
    int read =
        file(
            "packed table",
            INPUTS / 20,
            Mutations::damaged,
            each -> {
              try (Arena arena = Arena.ofConfined()) {
                PackedFile.open(each).table().map(arena);
              }
            });
    assertTrue(read > 0, "every input was refused");
  }

  @Test
  void snapshots() throws IOException {
    SmallModel.write(directory);
    try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend())) {
      EngramSequence sequence = model.newSequence();
      sequence.append(new int[] {0, 1, 2});
      fuzz(
          "snapshot",
          sequence.snapshot().toBytes(),
          INPUTS / 20,
          Mutations::checked,
          input -> {
            try {
              model.restore(SequenceSnapshot.fromBytes(input)).append(2);
            } catch (IllegalArgumentException e) {
              throw new IOException(e); // what a snapshot's caller is promised
            }
          });
    }
  }

  /** Whole directories, so that what passes the readers meets every later check too. */
  @Test
  void directories() throws IOException {
    SmallModel.write(directory);
    int read = 0;
    String[] files = {
      "config.json", "a.safetensors", "tokenizer.json", "model.safetensors.index.json"
    };
    for (String name : files) {
      byte[] good = Files.readAllBytes(directory.resolve(name));
      read +=
          fuzz(
              "directory by " + name,
              good,
              INPUTS / 50,
              input -> {
                Files.write(directory.resolve(name), input);
                try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend())) {
                  var sequence = model.newSequence();
                  sequence.append(new int[] {0, 1});
                  int width = model.config().streamWidth();
                  model.layers().getLast().apply(sequence, 2, new float[2 * width]);
                }
              });
      Files.write(directory.resolve(name), good);
    }
    assertTrue(read > 0, "every input was refused");
  }
}
