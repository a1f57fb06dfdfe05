package io.engram4j.train.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.model.EngramForm;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Every stage's way back, in both forms, on both sides of the clamp, with dead tokens. */
class GradientTest {
  private static final int TOKENS = 14;
  private static final int INPUTS = 12;
  private static final int SIZE = 8;

  /** What the dot products of a case are near to. */
  private enum Dots {
    ANY,
    ABOVE_FLOOR,
    BELOW_FLOOR,
    NEGATIVE,
    ZERO
  }

  /** What a planted fault does to a gradient that was right. */
  private enum Fault {
    NONE,
    CLAMP_IGNORED,
    DEAD_TOKENS_COUNTED,
    BRANCHES_FORGOTTEN
  }

  private static DoubleStages stages(boolean paper, int branches, SplittableRandom random) {
    int[] start = new int[TOKENS];
    Arrays.fill(start, 6, TOKENS, 6);
    boolean[] live = new boolean[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      live[i] = random.nextInt(5) > 0;
    }
    live[2] = true;
    live[9] = false;
    return new DoubleStages(paper, TOKENS, branches, SIZE, INPUTS, 3, start, live);
  }

  private static double[] values(DoubleStages stages, Dots dots, SplittableRandom random) {
    double[] v = new double[stages.count()];
    for (int i = 0; i < v.length; i++) {
      double spread = i >= stages.weightAt() && i < stages.biasAt() ? 0.4 : 1;
      // few bits, so that keys and products of weights are exact in float: beside the clamp a
      // rounded one would be another dot product, and the slope there is steep
      v[i] = Math.rint(16 * spread * random.nextGaussian()) / 16;
    }
    // the rows of two tokens are equal, as where n-grams repeat
    System.arraycopy(v, stages.rowsAt(), v, stages.rowsAt() + 3 * INPUTS, INPUTS);
    if (dots != Dots.ANY) {
      steer(stages, v, dots, random);
    }
    return v;
  }

  /** Moves each stream along its weighted key until the dot product is what the case wants. */
  private static void steer(DoubleStages stages, double[] v, Dots dots, SplittableRandom random) {
    DoubleStages.Trace trace = stages.forward(v);
    for (int n = 0; n < TOKENS; n++) {
      for (int h = 0; h < stages.branches(); h++) {
        double[] along = new double[SIZE];
        double u = 0;
        double length = 0;
        int stream = stages.streamAt() + (n * stages.branches() + h) * SIZE;
        for (int i = 0; i < SIZE; i++) {
          along[i] =
              v[stages.queryAt() + h * SIZE + i]
                  * v[stages.keyAt() + h * SIZE + i]
                  * trace.kv[n * stages.outputs() + h * SIZE + i];
          u += v[stream + i] * along[i];
          length += along[i] * along[i];
        }
        int unit = n * stages.branches() + h;
        double wanted =
            switch (dots) {
              case ABOVE_FLOOR -> 3e-6 * (random.nextBoolean() ? 1 : -1);
              case BELOW_FLOOR -> 3e-7 * (random.nextBoolean() ? 1 : -1);
              case NEGATIVE -> -0.2;
              default -> 0;
            };
        double rk = trace.rk[unit];
        for (int i = 0; i < SIZE; i++) {
          double x = v[stream + i] - u / length * along[i];
          v[stream + i] = dots == Dots.ZERO ? 0 : x;
        }
        // the norm changes little by what is added: a few rounds settle it
        for (int round = 0; round < 20 && dots != Dots.ZERO; round++) {
          double xx = 0;
          double now = 0;
          for (int i = 0; i < SIZE; i++) {
            xx += v[stream + i] * v[stream + i];
            now += v[stream + i] * along[i];
          }
          double rx = 1 / Math.sqrt(xx / SIZE + stages.eps());
          double missing = wanted * Math.sqrt(SIZE) / (rx * rk) - now;
          for (int i = 0; i < SIZE; i++) {
            v[stream + i] += missing / length * along[i];
          }
        }
      }
    }
  }

  private static double[] weights(DoubleStages stages, SplittableRandom random) {
    double[] dout = new double[TOKENS * stages.wide()];
    for (int i = 0; i < dout.length; i++) {
      dout[i] = (float) random.nextGaussian();
    }
    return dout;
  }

  private static double loss(DoubleStages stages, double[] v, double[] dout) {
    double[] out = stages.forward(v).out;
    double sum = 0;
    for (int i = 0; i < out.length; i++) {
      sum += dout[i] * out[i];
    }
    return sum;
  }

  /** Fourth-order differences; small steps beside the clamp, where the slope changes fast. */
  private static double difference(
      DoubleStages stages, double[] v, double[] dout, int at, double h) {
    double kept = v[at];
    double[] f = new double[4];
    double[] places = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
      v[at] = kept + places[i] * h;
      f[i] = loss(stages, v, dout);
    }
    v[at] = kept;
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
  }

  @Test
  void doubleGradientsAreThoseOfDifferences() {
    int cases = 0;
    double worst = 0;
    for (boolean paper : new boolean[] {false, true}) {
      for (int branches : new int[] {1, 2, 4}) {
        for (Dots dots : Dots.values()) {
          if (dots == Dots.ZERO) {
            continue; // no difference is small enough where the sign jumps
          }
          SplittableRandom random = new SplittableRandom(cases + 1);
          DoubleStages stages = stages(paper, branches, random);
          double[] v = values(stages, dots, random);
          double[] dout = weights(stages, random);
          double[] gradient = stages.backward(v, stages.forward(v), dout);
          boolean near = dots == Dots.ABOVE_FLOOR || dots == Dots.BELOW_FLOOR;
          double most = Arrays.stream(gradient).map(Math::abs).max().orElseThrow();
          for (int i = 0; i < v.length; i++) {
            double difference = difference(stages, v, dout, i, near ? 3e-9 : 1e-4);
            double error = Math.abs(gradient[i] - difference) / (Math.abs(difference) + most);
            worst = Math.max(worst, error);
            assertTrue(
                error < 1e-6,
                (paper ? "paper " : "V4.1 ")
                    + branches
                    + " "
                    + dots
                    + " "
                    + i
                    + " of "
                    + stages.count()
                    + ": "
                    + gradient[i]
                    + " but "
                    + difference);
            cases++;
          }
        }
      }
    }
    System.getLogger("gradients")
        .log(System.Logger.Level.INFO, cases + " differences, worst " + worst);
    assertTrue(cases > 10_000, cases + " cases");
  }

  private static float[] floats(double[] values, int from, int to) {
    float[] floats = new float[to - from];
    for (int i = from; i < to; i++) {
      floats[i - from] = (float) values[i];
    }
    return floats;
  }

  /** Runs the float kernels forward and back over the same numbers. */
  private static double[] kernels(DoubleStages stages, double[] v, double[] dout, Fault fault) {
    boolean paper = stages.paper();
    EngramForm form = paper ? EngramForm.PAPER : EngramForm.V41;
    int branches = stages.branches();
    float[] all = floats(v, 0, v.length);
    float[] rows = floats(v, stages.rowsAt(), stages.streamAt());
    float[] stream = floats(v, stages.streamAt(), stages.weightAt());
    float[] query = floats(v, stages.queryAt(), stages.keyAt());
    float[] key = floats(v, stages.keyAt(), stages.tapsAt());
    float[] kv = new float[TOKENS * stages.outputs()];
    float[] gates = new float[TOKENS * branches];
    float[] gated = new float[TOKENS * stages.wide()];
    double[] kept = new double[TOKENS * branches * GateStage.KEPT];
    float[] normed = new float[gated.length];
    float[] sums = new float[gated.length];
    float[] out = new float[gated.length];
    boolean[] live = stages.live().clone();
    Gemm gemm = new Gemm();
    ProjectStage project = new ProjectStage(stages.outputs(), INPUTS);
    GateStage gate = new GateStage(branches, SIZE, (float) form.eps(), form.zeroRule());
    ConvStage conv = new ConvStage(branches, SIZE, DoubleStages.KERNEL, 3, DoubleStages.CONV_EPS);
    int bias = paper ? stages.biasAt() : -1;
    project.forward(gemm, all, stages.weightAt(), bias, rows, TOKENS, kv);
    if (fault == Fault.DEAD_TOKENS_COUNTED) {
      Arrays.fill(live, true);
    }
    gate.forward(query, key, stream, kv, live, TOKENS, gates, gated, kept);
    float[] gradients = new float[v.length];
    float[] dstream = floats(dout, 0, dout.length);
    float[] dgated = dstream;
    if (paper) {
      conv.forward(
          all,
          stages.tapsAt(),
          stages.normAt(),
          gated,
          stages.start(),
          live,
          TOKENS,
          normed,
          sums,
          out);
      dgated = new float[gated.length];
      conv.backward(
          all,
          stages.tapsAt(),
          stages.normAt(),
          gated,
          stages.start(),
          live,
          TOKENS,
          normed,
          sums,
          dstream,
          new float[gated.length],
          dgated,
          gradients);
    }
    if (fault == Fault.CLAMP_IGNORED) {
      for (int i = 0; i < kept.length; i += GateStage.KEPT) {
        kept[i] = Math.copySign(Math.max(Math.abs(kept[i]), 1.01e-6), kept[i]);
      }
    }
    float[] dkv = new float[kv.length];
    gate.backward(
        query,
        key,
        stream,
        kv,
        live,
        TOKENS,
        gates,
        kept,
        dgated,
        dstream,
        dkv,
        gradients,
        stages.queryAt(),
        stages.keyAt());
    if (fault == Fault.BRANCHES_FORGOTTEN) {
      for (int n = 0; n < TOKENS; n++) {
        for (int i = 0; i < SIZE; i++) {
          int at = n * stages.outputs() + branches * SIZE + i;
          dkv[at] = gates[n * branches] * dgated[n * stages.wide() + i];
        }
      }
    }
    float[] drows = new float[rows.length];
    project.backward(gemm, all, stages.weightAt(), bias, rows, TOKENS, dkv, drows, gradients);
    System.arraycopy(drows, 0, gradients, stages.rowsAt(), drows.length);
    System.arraycopy(dstream, 0, gradients, stages.streamAt(), dstream.length);
    double[] result = new double[v.length];
    for (int i = 0; i < v.length; i++) {
      result[i] = gradients[i];
    }
    return result;
  }

  /** The largest error of a tensor, beside its largest gradient. */
  private static double worst(DoubleStages stages, double[] exact, double[] other) {
    int[] ends = {
      stages.streamAt(),
      stages.weightAt(),
      stages.biasAt(),
      stages.queryAt(),
      stages.keyAt(),
      stages.tapsAt(),
      stages.normAt(),
      stages.count()
    };
    double worst = 0;
    for (int tensor = 0, from = 0; tensor < ends.length; from = ends[tensor++]) {
      double most = 0;
      double error = 0;
      for (int i = from; i < ends[tensor]; i++) {
        most = Math.max(most, Math.abs(exact[i]));
        error = Math.max(error, Math.abs(exact[i] - other[i]));
      }
      worst = Math.max(worst, most == 0 ? error : error / most);
    }
    return worst;
  }

  private static double worstOf(Fault fault, int repeats) {
    double worst = 0;
    int cases = 0;
    for (int repeat = 0; repeat < repeats; repeat++) {
      for (boolean paper : new boolean[] {false, true}) {
        for (int branches : new int[] {1, 2, 4}) {
          for (Dots dots : Dots.values()) {
            SplittableRandom random = new SplittableRandom(1000L * repeat + cases++);
            DoubleStages stages = stages(paper, branches, random);
            double[] v = values(stages, dots, random);
            for (int i = 0; i < v.length; i++) {
              v[i] = (float) v[i];
            }
            if (!clearOfTheClamp(stages.forward(v).s)) {
              continue; // float and double may fall on different sides of it
            }
            double[] dout = weights(stages, random);
            double[] exact = stages.backward(v, stages.forward(v), dout);
            worst = Math.max(worst, worst(stages, exact, kernels(stages, v, dout, fault)));
          }
        }
      }
    }
    return worst;
  }

  private static boolean clearOfTheClamp(double[] s) {
    return Arrays.stream(s).allMatch(x -> Math.abs(Math.abs(x) / DoubleStages.FLOOR - 1) > 0.2);
  }

  @Test
  void kernelsGiveTheGradientsOfDoubles() {
    double worst = worstOf(Fault.NONE, 40);
    System.getLogger("gradients").log(System.Logger.Level.INFO, "kernels, worst " + worst);
    assertTrue(worst < 2e-5, "worst " + worst);
  }

  @Test
  void plantedFaultsAreSeen() {
    for (Fault fault : Fault.values()) {
      assertEquals(fault != Fault.NONE, worstOf(fault, 2) > 2e-5, fault + " " + worstOf(fault, 2));
    }
  }
}
