package io.engram4j.hf;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The hash that a GGUF file gives, compared with what its family computes. */
final class GgufHash {
  private static final Logger LOG = LoggerFactory.getLogger(GgufHash.class);

  private GgufHash() {}

  /**
   * Compares. Other seeds are possible, so that a difference is told and not refused.
   *
   * @param config with the file's layouts
   * @param hashing the family's way
   * @param seed the family's seed
   * @param distinctIds the number of ids that are hashed
   */
  static Check compare(
      String file, EngramConfig config, RowHashing hashing, long seed, int distinctIds) {
    LayerLayout first = config.layouts().getFirst();
    try {
      EngramConfig computed =
          EngramConfig.builder()
              .hiddenSize(1)
              .branches(1)
              .layerIds(config.layerIds())
              .ngrams(config.maxNgram(), config.vocabSizes())
              .heads(config.headsPerNgram(), config.headDim())
              .hashing(hashing)
              .seed(seed)
              .build();
      List<LayerLayout> layouts = EngramLayout.of(computed, distinctIds);
      for (int i = 0; i < layouts.size(); i++) {
        if (!layouts.get(i).sameNumbers(config.layouts().get(i))) {
          String difference =
              "the file has " + config.layouts().get(i) + ", computed is " + layouts.get(i);
          LOG.warn("{}: {}", file, difference);
          return new Check("hash", true, "taken from the file; computed it would be another");
        }
      }
      return new Check("hash", true, "the file's numbers are the computed ones");
    } catch (IllegalArgumentException e) {
      return new Check(
          "hash", true, "taken from the file; layer " + first.layerId() + ": " + e.getMessage());
    }
  }
}
