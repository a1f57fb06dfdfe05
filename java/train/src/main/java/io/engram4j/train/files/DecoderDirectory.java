package io.engram4j.train.files;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.EngramModel;
import io.engram4j.format.Bfloat16;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.hf.TensorInfo;
import io.engram4j.model.Dtype;
import io.engram4j.train.files.EngramExport.Tensor;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.model.Parameters;
import io.engram4j.train.table.TableShape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A whole decoder as a directory: its Engram layers as {@link EngramExport} writes them, so that
 * the directory is a model like any other, and beside them {@code decoder.json} and {@code
 * decoder.safetensors} with the dense parameters, bf16.
 */
public final class DecoderDirectory {
  private static final String JSON = "decoder.json";
  private static final String DENSE = "decoder.safetensors";
  private static final String ENGRAM = ".engram.";
  private static final List<String> FIELDS =
      List.of(
          "vocabulary",
          "width",
          "layers",
          "heads",
          "inner",
          "streams",
          "context",
          "experts",
          "expert_inner");
  private static final int REQUIRED = 7; // the first of them

  private DecoderDirectory() {}

  private static int[] numbers(DecoderShape shape) {
    return new int[] {
      shape.vocabulary(),
      shape.width(),
      shape.layers(),
      shape.heads(),
      shape.inner(),
      shape.streams(),
      shape.context(),
      shape.experts(),
      shape.expertInner()
    };
  }

  /**
   * Writes a decoder.
   *
   * @param tokenizer a tokenizer.json, copied
   * @throws IOException if a file is in the way or cannot be written
   */
  public static void write(Decoder decoder, Path tokenizer, Path directory) throws IOException {
    Files.createDirectories(directory);
    if (decoder.memory().isThere()) {
      EngramExport.write(decoder, tokenizer, directory);
    } else {
      Files.copy(
          tokenizer, directory.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
    }
    Parameters parameters = decoder.parameters();
    EngramExport.write(
        directory.resolve(DENSE),
        parameters.tensors().stream()
            .filter(tensor -> !tensor.name().contains(ENGRAM))
            .map(tensor -> bf16(parameters, tensor))
            .toList());
    Map<String, Object> json = new LinkedHashMap<>();
    int[] numbers = numbers(decoder.shape());
    for (int i = 0; i < numbers.length; i++) {
      json.put(FIELDS.get(i), numbers[i]);
    }
    json.put("engram", decoder.memory().isThere());
    Files.write(
        directory.resolve(JSON),
        new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsBytes(json));
  }

  private static Tensor bf16(Parameters parameters, Parameters.Tensor tensor) {
    return new Tensor(
        Declaration.of(tensor.name(), Dtype.BF16, tensor.rows(), tensor.columns()),
        writer -> {
          ByteBuffer bytes = ByteBuffer.allocate(2 * tensor.size()).order(ByteOrder.LITTLE_ENDIAN);
          for (int i = 0; i < tensor.size(); i++) {
            bytes.putShort(Bfloat16.fromFloat(parameters.values()[tensor.at() + i]));
          }
          writer.write(bytes.flip());
        });
  }

  /**
   * Reads a decoder that {@link #write} wrote, its tables into memory, to generate or to go on
   * training from.
   *
   * @throws IOException if a file is missing or does not fit the others
   */
  public static Decoder read(Path directory) throws IOException {
    Path file = directory.resolve(JSON);
    JsonNode json = new ObjectMapper().readTree(file.toFile());
    int[] numbers = new int[FIELDS.size()];
    for (int i = 0; i < numbers.length; i++) {
      if (i >= REQUIRED && json.path(FIELDS.get(i)).isMissingNode()) {
        continue; // 0
      }
      if (!json.path(FIELDS.get(i)).canConvertToInt()) {
        throw new IOException(file + " has no whole number " + FIELDS.get(i));
      }
      numbers[i] = json.path(FIELDS.get(i)).asInt();
    }
    requireFits(directory.resolve(DENSE), numbers);
    try {
      DecoderShape shape =
          new DecoderShape(
              numbers[0],
              numbers[1],
              numbers[2],
              numbers[3],
              numbers[4],
              numbers[5],
              numbers[6],
              numbers[7],
              numbers[8]);
      return json.path("engram").asBoolean()
          ? withEngram(directory, shape)
          : dense(directory, Decoder.inMemory(shape, EngramMemory.NONE, TableShape.of(1, 1), 0));
    } catch (IllegalArgumentException e) {
      throw new IOException(directory + ": " + e.getMessage(), e);
    }
  }

  /** Before any memory is taken: what decoder.json says must be in the file. */
  private static void requireFits(Path file, int[] numbers) throws IOException {
    double width = numbers[1];
    double layer =
        4 * width * width + 3 * width * numbers[4] + 3 * width * (double) numbers[7] * numbers[8];
    double bytes = 2 * (numbers[0] * width + numbers[2] * layer);
    if (Files.size(file) < bytes) {
      throw new IOException(
          file
              + " has "
              + Files.size(file)
              + " bytes, but the matrices of "
              + JSON
              + " take "
              + (long) bytes);
    }
  }

  private static Decoder withEngram(Path directory, DecoderShape shape) throws IOException {
    try (EngramModel model = EngramModels.open(directory)) {
      Decoder decoder = Decoder.inMemory(shape, EngramImport.memory(model), TableShape.of(1, 1), 0);
      try {
        EngramImport.read(model, decoder, rows -> {});
        return dense(directory, decoder);
      } catch (Throwable e) {
        decoder.close();
        throw e;
      }
    }
  }

  private static Decoder dense(Path directory, Decoder decoder) throws IOException {
    SafetensorsFile file = SafetensorsFile.open(directory.resolve(DENSE));
    float[] values = decoder.parameters().values();
    try (Arena arena = Arena.ofConfined()) {
      for (Parameters.Tensor tensor : decoder.parameters().tensors()) {
        if (tensor.name().contains(ENGRAM)) {
          continue;
        }
        TensorInfo info = file.tensors().get(tensor.name());
        List<Long> shape = List.of((long) tensor.rows(), (long) tensor.columns());
        if (info == null || !info.shape().equals(shape) || info.bytes() != 2L * tensor.size()) {
          throw new IOException(
              file.path()
                  + " has no "
                  + tensor.name()
                  + " of "
                  + shape
                  + " in bf16, but "
                  + (info == null ? "none" : info.shape() + " of " + info.bytes() + " bytes"));
        }
        MemorySegment data = SafetensorsFile.read(info, arena);
        for (int i = 0; i < tensor.size(); i++) {
          values[tensor.at() + i] =
              Bfloat16.toFloat(data.get(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i));
        }
      }
    }
    return decoder;
  }
}
