package io.engram4j.cli;

import io.engram4j.hf.Check;
import io.engram4j.hf.ModelFiles;
import io.engram4j.hf.TensorInfo;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Shows what a model directory holds and whether it fits together. */
@Command(
    name = "inspect",
    header = "Show a model's Engram layers: tables, tensors, files, and every load check.")
final class InspectCommand implements Callable<Integer> {
  @Mixin ModelOptions model = new ModelOptions();
  @Mixin Output output = new Output();

  @Override
  public Integer call() throws IOException {
    ModelFiles directory = model.read();
    boolean passed = directory.checks().stream().allMatch(Check::passed);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("directory", directory.path().toString());
    json.put("passed", passed);
    configuration(directory, json);
    layers(directory, json);
    tables(directory, json);
    tensors(directory, json);
    map(directory, json);
    checks(directory, json);
    output.json(json);
    return passed ? 0 : Main.FAILED;
  }

  private void configuration(ModelFiles files, Map<String, Object> json) {
    EngramConfig config = files.config();
    json.put("variant", config.family());
    json.put("form", files.form());
    json.put("hidden_size", config.hiddenSize());
    json.put("branches", config.branches());
    json.put("max_ngram", config.maxNgram());
    json.put("heads_per_ngram", config.headsPerNgram());
    json.put("head_dim", config.headDim());
    json.put("columns", config.columns());
    json.put("pad_token_id", config.padTokenId());
    json.put("norm_eps", config.normEps());
    output.line("%s: %s", model.directory, files.form());
    output.line(
        "%s: hidden %d x %d branches, orders 2 to %d, %d heads of %d, %d rows a token and layer%s",
        config.family() + " layout",
        config.hiddenSize(),
        config.branches(),
        config.maxNgram(),
        config.headsPerNgram(),
        config.headDim(),
        config.columns(),
        config.convKernel() > 0 ? ", convolution of " + config.convKernel() + " taps" : "");
    output.line("");
  }

  private void layers(ModelFiles directory, Map<String, Object> json) {
    EngramConfig config = directory.config();
    List<long[]> primes = EngramLayout.primes(config);
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (int i = 0; i < primes.size(); i++) {
      int id = config.layerIds().get(i);
      long[] own = primes.get(i);
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("layer", id);
      object.put("rows", Arrays.stream(own).sum());
      object.put("primes", own);
      object.put("bytes", directory.tensors(id).stream().mapToLong(TensorInfo::bytes).sum());
      objects.add(object);
      for (int order = 2; order <= config.maxNgram(); order++) {
        int from = (order - 2) * config.headsPerNgram();
        long[] heads = Arrays.copyOfRange(own, from, from + config.headsPerNgram());
        rows.add(
            List.of(
                "" + id, order + "-gram", Text.count(Arrays.stream(heads).sum()), range(heads)));
      }
    }
    json.put("layers", objects);
    output.table(List.of("layer", "order", "rows", "primes"), rows);
    output.line("");
  }

  /** How rows are stored, of layers whose tensors are all there. */
  private void tables(ModelFiles files, Map<String, Object> json) {
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (int id : files.config().layerIds()) {
      try {
        TableFile table = files.tableFile(id);
        Map<String, Object> object = new LinkedHashMap<>();
        object.put("layer", id);
        object.put("row_type", table.type().toString());
        object.put("row_bytes", table.rowBytes());
        object.put("rows", table.rows());
        object.put("parts", table.parts().size());
        objects.add(object);
        rows.add(
            List.of(
                "" + id,
                table.type().toString(),
                Text.count(table.rowBytes()),
                Text.count(table.rows()),
                Text.count(table.parts().size())));
      } catch (IOException e) {
        // the checks say what is missing
      }
    }
    json.put("tables", objects);
    if (!rows.isEmpty()) {
      output.table(List.of("layer", "row type", "bytes a row", "rows", "parts"), rows);
      output.line("");
    }
  }

  private static String range(long[] primes) {
    return primes.length <= 4
        ? String.join(" ", Arrays.stream(primes).mapToObj(Long::toString).toList())
        : primes[0] + " " + primes[1] + " ... " + primes[primes.length - 1];
  }

  private void tensors(ModelFiles directory, Map<String, Object> json) {
    Map<String, List<List<String>>> rows = new LinkedHashMap<>(); // by file
    List<Map<String, Object>> objects = new ArrayList<>();
    for (int id : directory.config().layerIds()) {
      for (TensorInfo tensor : directory.tensors(id)) {
        String file = tensor.file().getFileName().toString();
        rows.computeIfAbsent(file, name -> new ArrayList<>())
            .add(
                List.of(
                    tensor.name(),
                    tensor.dtype(),
                    tensor.shape().toString(),
                    Text.count(tensor.bytes())));
        Map<String, Object> object = new LinkedHashMap<>();
        object.put("name", tensor.name());
        object.put("dtype", tensor.dtype());
        object.put("shape", tensor.shape());
        object.put("bytes", tensor.bytes());
        object.put("file", file);
        object.put("offset", tensor.offset());
        objects.add(object);
      }
    }
    json.put("tensors", objects);
    rows.forEach((file, own) -> {
      output.table(List.of("in " + file, "type", "shape", "bytes"), own);
      output.line("");
    });
  }

  private void map(ModelFiles directory, Map<String, Object> json) {
    if (directory.map().isPresent()) {
      TokenMap map = directory.map().get();
      json.put("vocabulary", map.size());
      json.put("compressed", map.distinct());
      json.put("map_sha256", map.sha256());
    }
  }

  private void checks(ModelFiles directory, Map<String, Object> json) {
    List<Map<String, Object>> objects = new ArrayList<>();
    List<List<String>> rows = new ArrayList<>();
    for (Check check : directory.checks()) {
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("name", check.name());
      object.put("passed", check.passed());
      object.put("detail", check.detail());
      objects.add(object);
      rows.add(List.of(check.passed() ? "ok" : "FAILED", check.name(), check.detail()));
    }
    json.put("checks", objects);
    output.table(List.of("result", "check", "found"), rows);
  }
}
