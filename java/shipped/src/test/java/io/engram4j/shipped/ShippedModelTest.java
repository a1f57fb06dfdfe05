package io.engram4j.shipped;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.analysis.Ablation;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.files.DecoderDirectory;
import io.engram4j.train.model.Decoder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The weights are whole, and know what their card says. */
class ShippedModelTest {
  @TempDir private Path directory;

  @Test
  void manyProcessesMayUnpackIt() throws Exception {
    try (ExecutorService executor = Executors.newFixedThreadPool(4)) {
      Callable<Path> unpack = () -> ShippedModel.unpack(directory);
      for (Future<Path> done :
          executor.invokeAll(IntStream.range(0, 8).mapToObj(i -> unpack).toList())) {
        assertEquals(ShippedModel.unpack(directory), done.get());
      }
    }
    Path model = ShippedModel.unpack(directory);
    byte[] whole = Files.readAllBytes(model.resolve("model.safetensors"));
    Files.write(model.resolve("model.safetensors"), new byte[] {1, 2, 3}); // damaged since
    ShippedModel.unpack(directory);
    assertArrayEquals(whole, Files.readAllBytes(model.resolve("model.safetensors")));
    long bytes = 0;
    try (Stream<Path> files = Files.list(model)) {
      for (Path file : files.toList()) {
        assertTrue(!file.toString().endsWith(".tmp"), file + " is left");
        bytes += Files.size(file);
      }
    }
    assertTrue(bytes < 12_000_000, bytes + " bytes");
  }

  @Test
  void itKnowsWhatItsCardSays() throws IOException {
    Path model = ShippedModel.unpack(directory);
    Probes probes = Probes.read(model);
    try (Decoder decoder = DecoderDirectory.read(model)) {
      Ablation ablation = Ablation.of(decoder, Bpe.read(model.resolve("tokenizer.json")), probes);
      System.getLogger("shipped").log(System.Logger.Level.INFO, ablation.toString());
      assertEquals(3.914, ablation.lossOn(), 0.005);
      assertEquals(4.439, ablation.lossOff(), 0.005);
      assertCard(ablation, Ablation.NAMES, 0.303, 0.088);
      assertCard(ablation, Ablation.UNSEEN, 0.174, 0.151);
      assertCard(ablation, Ablation.TRAINED, 0.965, 0.050);
      assertCard(ablation, Ablation.ASKED, 0.830, 0.063);
      assertCard(ablation, Ablation.READING, 0.507, 0.517);
    }
  }

  private static void assertCard(Ablation ablation, String kind, double on, double off) {
    assertEquals(on, ablation.kind(kind).on(), 0.005, kind);
    assertEquals(off, ablation.kind(kind).off(), 0.005, kind);
  }
}
