package io.engram4j.train.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class GemmTest {
  private static final int[] SIZES = {1, 2, 5, 6, 7, 16, 31, 33, 48, 50, 97, 259, 300};

  private static float[] random(int count, SplittableRandom random) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static float at(Matrix m, int row, int column) {
    return m.data()[m.at() + row * m.rowStride() + column * m.columnStride()];
  }

  private static List<Lanes> lanes() {
    return List.of(new PlainLanes(), VectorLanes.create());
  }

  /** Sums in ascending order, fused: every width of vectors and every blocking gives these bits. */
  @Test
  void productsHaveTheSameBitsAsOneLoop() {
    SplittableRandom random = new SplittableRandom(1);
    int cases = 0;
    for (int m : SIZES) {
      for (int n : SIZES) {
        int k = SIZES[random.nextInt(SIZES.length)];
        boolean add = random.nextBoolean();
        boolean turnA = random.nextBoolean();
        boolean turnB = random.nextBoolean();
        Matrix a = Matrix.of(random(m * k + 3, random), 3, turnA ? k : m, turnA ? m : k);
        Matrix b = Matrix.of(random(n * k, random), 0, turnB ? n : k, turnB ? k : n);
        a = turnA ? a.transposed() : a;
        b = turnB ? b.transposed() : b;
        int stride = n + 2;
        float[] start = random(m * stride, random);
        float[] expected = start.clone();
        for (int i = 0; i < m; i++) {
          for (int j = 0; j < n; j++) {
            float sum = add ? start[i * stride + j] : 0;
            for (int p = 0; p < k; p++) {
              sum = Math.fma(at(a, i, p), at(b, p, j), sum);
            }
            expected[i * stride + j] = sum;
          }
        }
        for (Lanes one : lanes()) {
          float[] c = start.clone();
          new Gemm(one).multiply(a, b, Matrix.of(c, 0, m, n, stride), add);
          assertArrayEquals(expected, c, m + " x " + k + " x " + n);
          cases++;
        }
      }
    }
    assertEquals(2 * SIZES.length * SIZES.length, cases);
  }

  @Test
  void shapesThatDoNotFitAreRefused() {
    float[] data = new float[100];
    Matrix a = Matrix.of(data, 0, 2, 3);
    Gemm gemm = new Gemm();
    assertThrows(
        IllegalArgumentException.class,
        () -> gemm.multiply(a, Matrix.of(data, 0, 2, 3), Matrix.of(data, 0, 2, 3), false));
    assertThrows(IllegalArgumentException.class, () -> Matrix.of(data, 0, 20, 6));
  }

  @Test
  void exponentialsAreCloseAndAlike() {
    SplittableRandom random = new SplittableRandom(2);
    float[] x = new float[4099];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) (3 - random.nextDouble() * 95);
    }
    float[] plain = x.clone();
    float[] vector = x.clone();
    new PlainLanes().exp(plain, 1, 4098, 3);
    VectorLanes.create().exp(vector, 1, 4098, 3);
    assertArrayEquals(plain, vector);
    for (int i = 1; i < x.length; i++) {
      double exact = Math.exp(x[i] - 3f);
      double error = Math.abs(plain[i] - exact);
      assertTrue(
          error <= 3e-7 * exact || (x[i] - 3f < -87 && plain[i] == 0), x[i] + ": " + plain[i]);
    }
  }
}
