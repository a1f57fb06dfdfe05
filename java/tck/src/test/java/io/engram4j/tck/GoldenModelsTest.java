package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.java.JavaBackend;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
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
  @CsvSource({"mini-v41, 3, 13", "mini-paper, 2, 6"})
  void everyTensorIsWithinItsBound(String name, int files, int tensors) throws IOException {
    Path directory = golden.resolve(name);
    List<Path> truth = Verifier.truthFiles(directory);
    assertEquals(files, truth.size());
    try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend())) {
      for (Path file : truth) {
        List<TensorResult> results = Verifier.verify(model, file);
        results.forEach(r -> System.out.println(file.getFileName() + " " + r));
        assertEquals(tensors, results.size());
        for (TensorResult result : results) {
          assertTrue(result.passed(), () -> file + " " + result);
        }
      }
    }
  }
}
