package io.engram4j.cli;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.TensorResult;
import io.engram4j.tck.TruthFiles;
import io.engram4j.tck.Verifier;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Compares a model with the truth files beside it. */
@Command(
    name = "verify",
    header = "Compare models with every expected-*.safetensors beside them.",
    description = {
      "Such a file is one sequence with every intermediate, as any engine can dump it.",
      "Of a GGUF file NAME.gguf those called expected-NAME-*; of a directory all models in it."
    })
final class VerifyCommand implements Callable<Integer> {
  @Mixin ModelOptions model = new ModelOptions();
  @Mixin RemoteOption remote = new RemoteOption();
  @Mixin Output output = new Output();

  @Option(
      names = "--backend",
      paramLabel = "B",
      description = "The backend to verify, or all of them (default: the best).")
  @Nullable String backend;

  @Override
  public Integer call() throws IOException {
    List<Map<String, Object>> objects = new ArrayList<>();
    int failed = 0;
    long elements = 0;
    for (TruthFiles truth : TruthFiles.of(model.directory)) {
      ModelFiles files = EngramModels.read(truth.model(), model.map);
      output.line("%s: %s, %s", truth.model(), files.config().family(), files.form());
      try (SlicedTables tables = remote.connect();
          EngramModel opened = open(files, tables)) {
        for (Backend each : backends()) {
          try (EngramModel view = opened.withBackend(each)) {
            for (Path file : truth.files()) {
              List<TensorResult> results = Verifier.verify(view, file);
              show(each, file, results, objects);
              failed += (int) results.stream().filter(result -> !result.passed()).count();
              elements += results.stream().mapToLong(TensorResult::elements).sum();
            }
          }
        }
      }
    }
    output.line(
        "%s tensors, %s elements compared: %s",
        Text.count(objects.stream().filter(o -> !"ignored".equals(o.get("measure"))).count()),
        Text.count(elements),
        failed == 0 ? "all pass" : failed + " FAILED");
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("passed", failed == 0);
    json.put("failed", failed);
    json.put("elements", elements);
    json.put("results", objects);
    output.json(json);
    return failed == 0 ? 0 : Main.FAILED;
  }

  private static EngramModel open(ModelFiles files, @Nullable SlicedTables tables)
      throws IOException {
    TableOptions options = TableOptions.defaults().placement(Placement.MAPPED);
    return files.open(new JavaBackend(), RemoteOption.with(options, tables));
  }

  private List<Backend> backends() {
    if (!"all".equals(backend)) {
      return List.of(ModelOptions.backend(backend));
    }
    return Backends.providers().stream()
        .filter(provider -> provider.unavailable().isEmpty())
        .map(BackendProvider::create)
        .toList();
  }

  private void show(
      Backend each, Path file, List<TensorResult> results, List<Map<String, Object>> objects) {
    output.line("%s on %s (%s)", file.getFileName(), each.name(), each.description());
    List<List<String>> rows = new ArrayList<>();
    for (TensorResult result : results) {
      boolean ignored = result.measure().equals("ignored");
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("backend", each.name());
      object.put("file", file.getFileName().toString());
      object.put("tensor", result.tensor());
      object.put("elements", result.elements());
      object.put("measure", result.measure());
      object.put("error", Double.isFinite(result.error()) ? result.error() : "" + result.error());
      object.put("bound", result.bound());
      object.put("passed", result.passed());
      objects.add(object);
      rows.add(
          List.of(
              result.tensor(),
              Text.count(result.elements()),
              measure(result),
              ignored ? "-" : number(result.bound()),
              ignored ? "ignored" : result.passed() ? "pass" : "FAIL"));
    }
    output.table(List.of("tensor", "elements", "error", "bound", "result"), rows);
    output.line("");
  }

  private static String measure(TensorResult result) {
    return switch (result.measure()) {
      case "exact" -> result.error() == 0 ? "exact" : number(result.error()) + " differ";
      case "ignored" -> "-";
      default -> number(result.error()) + " " + result.measure();
    };
  }

  private static String number(double value) {
    return value == Math.rint(value)
        ? String.format(Locale.ROOT, "%.0f", value)
        : String.format(Locale.ROOT, "%.1e", value);
  }
}
