package io.engram4j.tck;

import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.SequenceSnapshot;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** One thread of a {@link Soak}, with files of its own that it spoils, and one model at a time. */
final class SoakUser implements Callable<Void> {
  private static final Placement[] PLACEMENTS = {
    Placement.MAPPED, Placement.RESIDENT, Placement.STREAMED, Placement.SHARED
  };
  private static final int STEPS = 40;

  private final Soak soak;
  private final Path own;
  private final Path shared; // in place of a file system in memory
  private final SplittableRandom random;

  SoakUser(Soak soak, Path own, SplittableRandom random) {
    this.soak = soak;
    this.own = own;
    this.shared = own.resolveSibling(own.getFileName() + "-shared");
    this.random = random;
  }

  @Override
  public @Nullable Void call() throws Exception {
    try {
      return use();
    } catch (Throwable e) {
      soak.fail();
      throw e;
    }
  }

  private @Nullable Void use() throws Exception {
    while (!soak.isOver()) {
      copyFiles();
      if (random.nextInt(6) == 0) {
        TemporaryDirectory.delete(shared); // loaded anew
      }
      switch (random.nextInt(8)) {
        case 0 -> packAndKill();
        case 1 -> serve(soak.source(), false);
        default -> serve(own, true);
      }
    }
    TemporaryDirectory.delete(own);
    TemporaryDirectory.delete(shared);
    return null;
  }

  private void copyFiles() throws IOException {
    TemporaryDirectory.delete(own);
    Files.createDirectories(own);
    try (Stream<Path> files = Files.list(soak.source())) {
      for (Path file : files.toList()) {
        Files.copy(file, own.resolve(file.getFileName()));
      }
    }
  }

  private Path shard() {
    return own.resolve("model-0000" + random.nextInt(1, 3) + "-of-00002.safetensors");
  }

  /** A process that packs is killed; the next one comes to the end, and its rows are right. */
  private void packAndKill() throws IOException, InterruptedException {
    Path packed = own.resolve("packed");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Soak.class.getName(),
                own.toString(),
                packed.toString())
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    boolean ended = process.waitFor(random.nextInt(200, 1200), TimeUnit.MILLISECONDS);
    process.destroyForcibly().waitFor();
    soak.count(ended ? "packed to the end" : "killed while packing", 1);
    new DirectoryPacker(EngramDirectory.read(own), packed, 1, bytes -> {}).pack();
    serve(packed, false);
  }

  private void serve(Path directory, boolean mine) throws IOException {
    String[] names = soak.backends();
    Backend backend = Backends.named(names[random.nextInt(names.length)]);
    Placement placement = PLACEMENTS[random.nextInt(PLACEMENTS.length)];
    TableOptions options =
        TableOptions.defaults()
            .placement(placement)
            .sharedDirectory(Files.createDirectories(shared))
            .threads(1);
    if (!placement.copies() && random.nextBoolean()) {
      options = options.cacheBytes(random.nextInt(1, 300_000));
    }
    boolean spoilt = false;
    try (EngramModel model = EngramDirectory.read(directory).open(backend, options)) {
      soak.count("opened " + placement, 1);
      EngramSequence sequence = model.newSequence();
      for (int step = 0; step < STEPS && !soak.isOver(); step++) {
        if (mine && random.nextInt(30) == 0) {
          spoilt |= spoil();
        }
        try {
          sequence = step(model, sequence);
        } catch (UncheckedIOException e) {
          if (!spoilt) {
            throw new IOException("files are whole, but " + e.getMessage(), e);
          }
          soak.count("refused", 1);
          sequence = model.newSequence();
        }
      }
    }
  }

  /** Returns whether rows may be gone now. */
  private boolean spoil() throws IOException {
    Path shard = shard();
    if (random.nextBoolean()) {
      Path other = Files.copy(soak.source().resolve(shard.getFileName()), own.resolve("new"));
      Files.move(other, shard, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      soak.count("replaced", 1);
      return false;
    }
    try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "rw")) {
      file.setLength(random.nextLong(Math.max(1, file.length())));
    }
    soak.count("cut short", 1);
    return true;
  }

  /** Does something with a sequence; returns the one to go on with. */
  private EngramSequence step(EngramModel model, EngramSequence sequence) throws IOException {
    int length = sequence.length();
    soak.count("steps", 1);
    switch (random.nextInt(8)) {
      case 0 -> {
        if (length > 0) {
          try {
            sequence.truncate(random.nextInt(Math.max(0, length - 20), length + 1));
          } catch (IllegalStateException e) {
            return model.newSequence(); // one that was restored knows little before
          }
        }
        return random.nextInt(10) == 0 ? model.newSequence() : sequence;
      }
      case 1 -> {
        return sequence.fork();
      }
      case 2 -> {
        return model.restore(SequenceSnapshot.fromBytes(sequence.snapshot().toBytes()));
      }
      default -> {
        append(model, sequence);
        return sequence;
      }
    }
  }

  private void append(EngramModel model, EngramSequence sequence) throws IOException {
    SoakTruth truth = soak.truth();
    int position = sequence.length();
    int count = Math.min(truth.length() - position, random.nextInt(1, 40));
    if (count == 0) {
      return; // until it is cut, or another begins
    }
    truth.append(sequence, count);
    boolean ahead = random.nextInt(3) == 0;
    if (ahead) {
      sequence.prefetch(count);
    }
    List<EngramLayer> layers = model.layers();
    int width = model.config().streamWidth();
    for (int layer = 0; layer < layers.size(); layer++) {
      float[] stream = new float[count * width];
      Arrays.fill(stream, SoakTruth.START);
      layers.get(layer).apply(sequence, count, stream);
      truth.checkStream(layer, position, stream);
    }
    EngramBatch batch = model.newBatch().add(sequence, position, count);
    for (int layer = 0; layer < layers.size(); layer++) {
      long[] ids = new long[count * model.config().columns()];
      layers.get(layer).hash(batch, MemorySegment.ofArray(ids));
      truth.checkIds(layer, position, ids);
      float[] rows = new float[count * model.config().rowWidth()];
      layers
          .get(layer)
          .gather(MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(rows), Dtype.F32);
      truth.checkRows(layer, position, rows);
      soak.count("rows checked", ids.length);
    }
  }
}
