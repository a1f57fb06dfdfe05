package io.engram4j.ucx;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.remote.wire.SliceServer;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.Golden;
import io.engram4j.tck.TensorResult;
import io.engram4j.tck.TruthFiles;
import io.engram4j.tck.Verifier;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** Golden models of every form and row type pass with their rows in servers of slices, two each. */
@EnabledIf("io.engram4j.ucx.ServedRowsTest#isInstalled")
class UcxGoldenTest {
  private static final List<String> FOLDERS =
      List.of(
          "mini-v41",
          "mini-paper",
          "mini-ple",
          "mini-ple-fp8",
          "mini-v41-gguf",
          "mini-v41-gguf-split",
          "mini-v41-gguf-ds4",
          "mini-ple-gguf");

  @TempDir private Path directory;

  @Test
  void allGoldenModelsPassThroughRemoteTables() throws Exception {
    Golden.extract(directory);
    int models = 0;
    int tensors = 0;
    for (String folder : FOLDERS) {
      for (TruthFiles truth : TruthFiles.of(directory.resolve(folder))) {
        Path slices = directory.resolve("slices-" + models++);
        ModelFiles files = EngramModels.read(truth.model());
        new Sharder(files, "" + truth.model().getFileName(), "1", 2).shard(slices, 2, bytes -> {});
        TableOptions options = TableOptions.defaults().placement(Placement.MAPPED);
        try (SliceServer first = new SliceServer(slices, (layer, slice) -> slice == 0, options, 1);
            SliceServer second = new SliceServer(slices, (layer, slice) -> slice == 1, options, 1);
            SlicedTables tables =
                SlicedTables.connect(
                    "ucx://127.0.0.1:"
                        + first.listen("ucx://127.0.0.1:0", false)
                        + ",ucx://127.0.0.1:"
                        + second.listen("ucx://127.0.0.1:0", false),
                    RemoteOptions.defaults());
            EngramModel model =
                files.open(Backends.select(), TableOptions.defaults().remote(tables))) {
          for (Path expected : truth.files()) {
            for (TensorResult result : Verifier.verify(model, expected)) {
              assertTrue(result.passed(), expected + ": " + result);
              tensors++;
            }
          }
        }
      }
    }
    assertEquals(10, models);
    System.out.println(models + " models, " + tensors + " tensors through remote tables");
  }
}
