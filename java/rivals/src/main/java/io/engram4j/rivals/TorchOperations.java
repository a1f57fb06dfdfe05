package io.engram4j.rivals;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;

/**
 * As operations on DJL's arrays, what one writes in Java without a module of Python's. DJL has no
 * exclusive or of integers, so windows are hashed by Java's own arithmetic.
 */
public final class TorchOperations extends PyTorch {
  private static final int[] LAST = {-1};

  /** Made by the service loader. */
  public TorchOperations() {
    super("");
  }

  private static NDArray picked(NDArray from, NDArray indices, NDManager own) {
    return from.get(own, new NDIndex("{}", indices));
  }

  @Override
  NDArray rows(long[] windows, Arrays layer, NDManager own) {
    NDArray packed = picked(layer.table, own.create(layer.hash.ids(windows, true)), own);
    NDArray words = packed.get(":, :256").toType(DataType.INT64, false).reshape(-1);
    NDArray blocks = packed.get(":, 256:").toType(DataType.INT64, false).reshape(-1);
    NDArray values = picked(codes, words, own).reshape(-1, 8, 32);
    NDArray factors = picked(scales, blocks, own).reshape(-1, 8, 1);
    return values.muli(factors).reshape(new Shape(-1, 6144));
  }

  private static NDArray normed(NDArray x) {
    return x.div(x.square().mean(LAST, true).add(1e-20f).sqrt());
  }

  @Override
  void gate(Arrays layer, NDManager own) {
    new NDList(layer.kv, layer.stream, layer.product).tempAttach(own);
    NDArray keys = layer.kv.get(":, :4");
    NDArray value = layer.kv.get(":, 4:");
    NDArray dots = normed(layer.stream).muli(layer.product).muli(normed(keys)).sum(LAST);
    NDArray small = dots.divi((float) Math.sqrt(5120));
    NDArray roots = small.abs().maximum(1e-6f).sqrt().muli(small.sign());
    NDArray gates = Activation.sigmoid(roots).expandDims(2);
    layer.stream.addi(gates.mul(value));
  }
}
