package io.engram4j.train.files;

import io.engram4j.hf.ModelJson;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.EngramConfig;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramWeights;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes trained Engram layers as a model directory that inference opens: in V4.1's form rows and
 * projection as fp8 with power-of-two scales and the gate's weights as bf16, in the paper's form
 * all float32.
 */
public final class EngramExport {
  static final String FILE = "model.safetensors";

  private EngramExport() {}

  /** A tensor to write: what is declared, and what writes its bytes. */
  record Tensor(Declaration declaration, Bytes bytes) {
    /** Writes a tensor's bytes. */
    interface Bytes {
      void write(SafetensorsWriter writer) throws IOException;
    }
  }

  /**
   * Writes config.json, model.safetensors, its index and tokenizer.json into a directory.
   *
   * @param tokenizer from whose vocabulary the token map was made; copied
   * @throws IOException if a file is in the way or cannot be written
   * @throws IllegalArgumentException if there are no Engram layers, or a layout that the form's
   *     configuration has no fields for
   */
  public static void write(EngramWeights trained, Path tokenizer, Path directory)
      throws IOException {
    if (!trained.memory().isThere()) {
      throw new IllegalArgumentException("there are no Engram layers");
    }
    EngramConfig config = trained.memory().config();
    if (!config.layouts().isEmpty()) {
      throw new IllegalArgumentException(
          "the layers have layouts of their own, which config.json has no fields for");
    }
    Files.createDirectories(directory);
    boolean paper = trained.memory().form() == EngramForm.PAPER;
    List<Tensor> tensors = new ArrayList<>();
    List<Long> rows = new ArrayList<>();
    for (int i = 0; i < trained.tables().size(); i++) {
      rows.add(trained.memory().layouts().get(i).rows());
      tensors.addAll(
          paper
              ? PaperTensors.of(trained, i, rows.get(i))
              : V41Tensors.of(trained, i, rows.get(i)));
    }
    write(directory.resolve(FILE), tensors);
    Map<String, String> files = new LinkedHashMap<>();
    tensors.forEach(tensor -> files.put(tensor.declaration().name(), FILE));
    Files.writeString(directory.resolve("model.safetensors.index.json"), ModelJson.index(files));
    Files.copy(tokenizer, directory.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
    Files.writeString(
        directory.resolve("config.json"),
        paper ? ModelJson.paper(config) : ModelJson.deepSeekV41(config, rows));
  }

  static void write(Path file, List<Tensor> tensors) throws IOException {
    try (SafetensorsWriter writer =
        new SafetensorsWriter(file, tensors.stream().map(Tensor::declaration).toList())) {
      for (Tensor tensor : tensors) {
        tensor.bytes().write(writer);
      }
    } catch (java.nio.file.FileAlreadyExistsException e) {
      throw e; // which is not ours to delete
    } catch (IOException e) {
      Files.deleteIfExists(file);
      throw e;
    }
  }
}
