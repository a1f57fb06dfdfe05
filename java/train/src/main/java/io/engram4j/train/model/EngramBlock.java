package io.engram4j.train.model;

import io.engram4j.model.EngramConfig;
import io.engram4j.train.kernel.ConvStage;
import io.engram4j.train.kernel.GateStage;
import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.HashStage;
import io.engram4j.train.kernel.ProjectStage;
import io.engram4j.train.table.RowReader;
import io.engram4j.train.table.StepGradients;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** An Engram layer: hash, gather, project, gate, conv, and back. */
final class EngramBlock {
  /** Where a layer's tensors begin; -1 for what the form has not. */
  record At(int wkv, int bias, int query, int key, int taps, int norm) {}

  private final EngramConfig config;
  private final float[] parameters;
  private final At at;
  private final RowReader table;
  private final Gemm gemm;
  private final HashStage hash;
  private final ProjectStage project;
  private final GateStage gate;
  private final @Nullable ConvStage conv;

  private final long[] ids;
  private final float[] rows;
  private final float[] kv;
  private final float[] stream;
  private final float[] gates;
  private final double[] kept;
  private final float[] gated;
  private final float[] normed;
  private final float[] sums;
  private final float[] out;
  private final float[] dnormed;
  private final float[] dkv;
  private final float[] drows;

  EngramBlock(
      EngramConfig config,
      EngramForm form,
      float[] parameters,
      At at,
      HashStage hash,
      RowReader table,
      Gemm gemm,
      int tokens) {
    this.config = config;
    this.parameters = parameters;
    this.at = at;
    this.hash = hash;
    this.table = table;
    this.gemm = gemm;
    int branches = config.branches();
    int size = config.hiddenSize();
    this.project = new ProjectStage(config.kvWidth(), config.rowWidth());
    this.gate = new GateStage(branches, size, (float) form.eps(), form.zeroRule());
    this.conv =
        form.kernel() == 0
            ? null
            : new ConvStage(branches, size, form.kernel(), config.maxNgram(), EngramForm.CONV_EPS);
    int wide = tokens * config.streamWidth();
    this.ids = new long[tokens * config.columns()];
    this.rows = new float[tokens * config.rowWidth()];
    this.kv = new float[tokens * config.kvWidth()];
    this.stream = new float[wide];
    this.gates = new float[tokens * branches];
    this.kept = new double[tokens * branches * GateStage.KEPT];
    this.gated = new float[wide];
    this.normed = new float[conv == null ? 0 : wide];
    this.sums = new float[conv == null ? 0 : wide];
    this.out = new float[conv == null ? 0 : wide];
    this.dnormed = new float[conv == null ? 0 : wide];
    this.dkv = new float[tokens * config.kvWidth()];
    this.drows = new float[tokens * config.rowWidth()];
  }

  int layerId() {
    return hash.layout().layerId();
  }

  /** Returns the gates of the last pass, [tokens, branches]. */
  float[] gates() {
    return gates;
  }

  /** Adds the memory to the streams, [tokens, branches * size]. */
  void forward(float[] x, Batch batch) {
    int tokens = batch.tokens();
    if (!any(batch)) {
      Arrays.fill(gates, 0f);
      return;
    }
    hash.forward(batch.ids(), batch.start(), tokens, ids);
    table.gather(ids, config.columns(), batch.live(), tokens, rows);
    project.forward(gemm, parameters, at.wkv(), at.bias(), rows, tokens, kv);
    int wide = tokens * config.streamWidth();
    System.arraycopy(x, 0, stream, 0, wide);
    gate.forward(
        weights(at.query()),
        weights(at.key()),
        stream,
        kv,
        batch.live(),
        tokens,
        gates,
        gated,
        kept);
    float[] added = gated;
    if (conv != null) {
      conv.forward(
          parameters,
          at.taps(),
          at.norm(),
          gated,
          batch.start(),
          batch.live(),
          tokens,
          normed,
          sums,
          out);
      added = out;
    }
    for (int i = 0; i < wide; i++) {
      x[i] += added[i];
    }
  }

  private static boolean any(Batch batch) {
    for (boolean live : batch.live()) {
      if (live) {
        return true;
      }
    }
    return false;
  }

  private float[] weights(int from) {
    return Arrays.copyOfRange(parameters, from, from + config.streamWidth());
  }

  /**
   * Takes the gradient of the streams back, in place.
   *
   * @param step takes the rows' gradients, from token {@code first} on
   */
  void backward(float[] dx, Batch batch, float[] gradients, StepGradients step, int first) {
    if (!any(batch)) {
      return;
    }
    int tokens = batch.tokens();
    float[] dgated = dx;
    if (conv != null) {
      dgated = out;
      conv.backward(
          parameters,
          at.taps(),
          at.norm(),
          gated,
          batch.start(),
          batch.live(),
          tokens,
          normed,
          sums,
          dx,
          dnormed,
          dgated,
          gradients);
    }
    gate.backward(
        weights(at.query()),
        weights(at.key()),
        stream,
        kv,
        batch.live(),
        tokens,
        gates,
        kept,
        dgated,
        dx,
        dkv,
        gradients,
        at.query(),
        at.key());
    project.backward(gemm, parameters, at.wkv(), at.bias(), rows, tokens, dkv, drows, gradients);
    step.put(first, tokens, ids, batch.live(), drows);
  }
}
