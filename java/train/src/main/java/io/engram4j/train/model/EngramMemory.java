package io.engram4j.train.model;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.train.table.TableShape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The Engram layers of a decoder: their form, configuration and token map. Immutable. */
public final class EngramMemory {
  /** No Engram layers: a dense model. */
  public static final EngramMemory NONE = new EngramMemory(EngramForm.V41, null, null);

  private final EngramForm form;
  private final @Nullable EngramConfig config;
  private final @Nullable TokenMap map;

  private EngramMemory(EngramForm form, @Nullable EngramConfig config, @Nullable TokenMap map) {
    this.form = form;
    this.config = config;
    this.map = map;
  }

  /**
   * Engram layers.
   *
   * @throws IllegalArgumentException if the configuration's convolution is not the form's
   */
  public static EngramMemory of(EngramForm form, EngramConfig config, TokenMap map) {
    if (config.convKernel() != form.kernel()) {
      throw new IllegalArgumentException(
          "the configuration has "
              + config.convKernel()
              + " taps, the form "
              + form
              + " "
              + form.kernel());
    }
    return new EngramMemory(form, config, map);
  }

  /** Returns whether there are any. */
  public boolean isThere() {
    return config != null;
  }

  /** Returns the form. */
  public EngramForm form() {
    return form;
  }

  /**
   * Returns the configuration.
   *
   * @throws IllegalStateException if there are no Engram layers
   */
  public EngramConfig config() {
    if (config == null) {
      throw new IllegalStateException("a dense model has no Engram configuration");
    }
    return config;
  }

  /** Returns the token map; likewise. */
  public TokenMap map() {
    if (map == null) {
      throw new IllegalStateException("a dense model has no token map");
    }
    return map;
  }

  /** Returns the layouts of the layers, none for a dense model. */
  public List<LayerLayout> layouts() {
    return isThere() ? io.engram4j.model.EngramLayout.of(config(), map().distinct()) : List.of();
  }

  /** Returns shapes for the layers' tables, like a given one but for rows and width. */
  public List<TableShape> tables(TableShape like) {
    List<TableShape> shapes = new ArrayList<>();
    for (LayerLayout layout : layouts()) {
      shapes.add(
          new TableShape(
              0,
              layout.rows(),
              config().headDim(),
              like.format(),
              like.optimizer(),
              like.seed() + layout.layerId()));
    }
    return shapes;
  }
}
