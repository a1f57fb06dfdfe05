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

  @Test
  void sumsOfStreamsAreAlike() {
    SplittableRandom random = new SplittableRandom(3);
    for (int width : new int[] {1, 7, 16, 17, 31, 96, 100}) {
      for (int count : new int[] {1, 2, 4}) {
        float[] x = random(count * width + 2, random);
        float[] weights = random(3 * count + 1, random);
        float[] plain = random(width + 5, random);
        float[] vector = plain.clone();
        run(new PlainLanes(), x, count, weights, plain, width);
        run(VectorLanes.create(), x, count, weights, vector, width);
        assertArrayEquals(plain, vector, count + " of " + width);
      }
    }
  }

  private static void run(
      Lanes lanes, float[] x, int count, float[] weights, float[] y, int width) {
    float[] sum = new float[width + 1];
    lanes.combine(x, 2, width, count, weights, 1, 3, sum, 1, width);
    for (int i = 0; i < width; i++) {
      double exact = 0;
      for (int g = 0; g < count; g++) {
        exact += (double) weights[1 + 3 * g] * x[2 + g * width + i];
      }
      assertEquals(exact, sum[1 + i], 1e-5);
    }
    lanes.addScaled(0.3f, sum, 1, y, 4, width);
    lanes.addProducts(sum, 1, x, 2, y, 4, width);
  }
}
