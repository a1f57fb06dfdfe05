package io.engram4j.train.kernel;

import java.util.Arrays;

/**
 * Products of float32 matrices. An element is summed in ascending order of the inner index, by
 * fused multiply-adds, so that neither the width of vectors nor the Vector API changes a bit. Keeps
 * scratch memory; for one thread at a time.
 */
public final class Gemm {
  /** Of the inner index, so that a panel of b stays in the first cache. */
  private static final int STEPS = 256;

  /** Rows of a that are packed at once; a multiple of a tile's. */
  private static final int BLOCK = 8 * Lanes.ROWS;

  private final Lanes lanes;
  private final float[] packedA = new float[BLOCK * STEPS];
  private final float[] edge;
  private float[] packedB = new float[0];

  /** Takes the fastest loops that run here. */
  public Gemm() {
    this(Lanes.BEST);
  }

  Gemm(Lanes lanes) {
    this.lanes = lanes;
    this.edge = new float[Lanes.ROWS * lanes.columns()];
  }

  /**
   * Computes c = a b, or c += a b.
   *
   * @param a [m, k]
   * @param b [k, n]
   * @param c [m, n] with columns one after the other, none of whose numbers a or b has
   * @throws IllegalArgumentException if the shapes do not fit
   */
  public void multiply(Matrix a, Matrix b, Matrix c, boolean add) {
    if (a.columns() != b.rows()
        || a.rows() != c.rows()
        || b.columns() != c.columns()
        || c.columnStride() != 1) {
      throw new IllegalArgumentException("a product of " + shape(a) + shape(b) + shape(c));
    }
    for (int from = 0; from < a.columns(); from += STEPS) {
      int steps = Math.min(STEPS, a.columns() - from);
      packB(b, from, steps);
      for (int row = 0; row < a.rows(); row += BLOCK) {
        block(a, c, row, from, steps, add || from > 0);
      }
    }
  }

  private static String shape(Matrix matrix) {
    return " [" + matrix.rows() + ", " + matrix.columns() + "]";
  }

  /** Panels of a tile's columns; what is beyond the last column is zero. */
  private void packB(Matrix b, int from, int steps) {
    int width = lanes.columns();
    int panels = (b.columns() + width - 1) / width;
    int size = panels * width * steps;
    if (packedB.length < size) {
      packedB = new float[size];
    }
    for (int panel = 0, to = 0; panel < panels; panel++) {
      int first = panel * width;
      int count = Math.min(width, b.columns() - first);
      int at = b.at() + from * b.rowStride() + first * b.columnStride();
      for (int p = 0; p < steps; p++, at += b.rowStride(), to += width) {
        if (b.columnStride() == 1) {
          System.arraycopy(b.data(), at, packedB, to, count);
        } else {
          for (int j = 0; j < count; j++) {
            packedB[to + j] = b.data()[at + j * b.columnStride()];
          }
        }
        if (count < width) {
          Arrays.fill(packedB, to + count, to + width, 0f);
        }
      }
    }
  }

  private void block(Matrix a, Matrix c, int row, int from, int steps, boolean add) {
    int rows = Math.min(BLOCK, a.rows() - row);
    // where steps are far apart each would be a page of its own, and rows beyond the last are none
    boolean packed = a.columnStride() != 1 || rows % Lanes.ROWS != 0;
    if (packed) {
      packA(a, row, rows, from, steps);
    }
    int width = lanes.columns();
    for (int first = 0, panel = 0; first < c.columns(); first += width, panel += width * steps) {
      int columns = Math.min(width, c.columns() - first);
      for (int i = 0; i < rows; i += Lanes.ROWS) {
        float[] source = packed ? packedA : a.data();
        int at = packed ? i * steps : a.at() + (row + i) * a.rowStride() + from;
        int rowStride = packed ? 1 : a.rowStride();
        int stepStride = packed ? Lanes.ROWS : 1;
        int to = c.at() + (row + i) * c.rowStride() + first;
        int live = Math.min(Lanes.ROWS, rows - i);
        if (live == Lanes.ROWS && columns == width) {
          lanes.tile(
              source,
              at,
              rowStride,
              stepStride,
              packedB,
              panel,
              steps,
              c.data(),
              to,
              c.rowStride(),
              add);
        } else {
          copy(c.data(), to, c.rowStride(), edge, 0, width, live, columns);
          lanes.tile(source, at, rowStride, stepStride, packedB, panel, steps, edge, 0, width, add);
          copy(edge, 0, width, c.data(), to, c.rowStride(), live, columns);
        }
      }
    }
  }

  private static void copy(
      float[] from, int at, int stride, float[] to, int toAt, int toStride, int rows, int columns) {
    for (int i = 0; i < rows; i++) {
      System.arraycopy(from, at + i * stride, to, toAt + i * toStride, columns);
    }
  }

  /** Tiles of rows, step by step; rows beyond the last are zero. */
  private void packA(Matrix a, int row, int rows, int from, int steps) {
    for (int tile = 0; tile < rows; tile += Lanes.ROWS) {
      int live = Math.min(Lanes.ROWS, rows - tile);
      int at = a.at() + (row + tile) * a.rowStride() + from * a.columnStride();
      int to = tile * steps;
      if (live == Lanes.ROWS) {
        packTile(a.data(), at, a.rowStride(), a.columnStride(), steps, to);
        continue;
      }
      for (int p = 0; p < steps; p++, at += a.columnStride(), to += Lanes.ROWS) {
        for (int i = 0; i < live; i++) {
          packedA[to + i] = a.data()[at + i * a.rowStride()];
        }
        Arrays.fill(packedA, to + live, to + Lanes.ROWS, 0f);
      }
    }
  }

  /** Six rows by name: the loop over rows that may be fewer is the slower way. */
  private void packTile(float[] a, int from, int rowStride, int stepStride, int steps, int first) {
    int at = from;
    int to = first;
    for (int p = 0; p < steps; p++, at += stepStride, to += Lanes.ROWS) {
      packedA[to] = a[at];
      packedA[to + 1] = a[at + rowStride];
      packedA[to + 2] = a[at + 2 * rowStride];
      packedA[to + 3] = a[at + 3 * rowStride];
      packedA[to + 4] = a[at + 4 * rowStride];
      packedA[to + 5] = a[at + 5 * rowStride];
    }
  }
}
