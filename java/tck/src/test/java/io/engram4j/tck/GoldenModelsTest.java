package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The Java backend against the golden models, every tensor of every truth file. */
class GoldenModelsTest {
  @TempDir static Path golden;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  @ParameterizedTest
  @CsvSource({
    "mini-v41, 3, 13",
    "mini-paper, 2, 6",
    "mini-ple, 3, 13",
    "mini-ple-fp8, 2, 13",
    "mini-ple-gguf/f16.gguf, 1, 8",
    "mini-ple-gguf/iq4_nl, 1, 8",
    "mini-ple-gguf/q8_0.gguf, 1, 8",
    "mini-v41-gguf/mixed.gguf, 2, 61",
    "mini-v41-gguf-split/mini-00003-of-00004.gguf, 1, 11",
    "mini-v41-gguf-ds4/mini.gguf, 1, 11"
  })
  void everyTensorIsWithinItsBound(String name, int files, int tensors) throws IOException {
    TruthFiles truth = TruthFiles.of(golden.resolve(name)).getFirst();
    assertEquals(files, truth.files().size());
    try (EngramModel model = EngramModels.read(truth.model()).open(new JavaBackend())) {
      for (Path file : truth.files()) {
        List<TensorResult> results = Verifier.verify(model, file);
        results.forEach(r -> System.out.println(file.getFileName() + " " + r));
        assertEquals(tensors, results.stream().filter(r -> !r.measure().equals("ignored")).count());
        for (TensorResult result : results) {
          assertTrue(result.passed(), () -> file + " " + result);
        }
      }
    }
  }

  /** All of its tensors would be equal: there is nothing in them. */
  @Test
  void aTruthFileWithoutTokensIsNoTruth() throws IOException {
    Path empty = golden.resolve("expected-empty.safetensors");
    List<Declaration> tensors =
        List.of(
            Declaration.of("input_ids", Dtype.I64, 0),
            Declaration.of("layers.1.hash_ids", Dtype.I64, 0, 24));
    new SafetensorsWriter(empty, tensors).close();
    try (EngramModel model =
        EngramDirectory.read(golden.resolve("mini-v41")).open(new JavaBackend())) {
      IOException e = assertThrows(IOException.class, () -> Verifier.verify(model, empty));
      assertTrue(String.valueOf(e.getMessage()).contains("has no tokens"), e.getMessage());
    }
  }
}
