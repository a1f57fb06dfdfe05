package io.engram4j.train.kernel;

/**
 * Project, gate and convolution in double, forward and back, written from docs/spec.md and its
 * derivatives alone: what the float kernels are measured against. All that can be varied lies in
 * one array, so that differences are one loop.
 *
 * @param paper with bias and convolution, sign 0 of a zero
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record DoubleStages(
    boolean paper,
    int tokens,
    int branches,
    int size,
    int inputs,
    int dilation,
    int[] start,
    boolean[] live) {
  static final int KERNEL = 4;
  static final double FLOOR = 1e-6;
  static final double CONV_EPS = 1e-5;

  double eps() {
    return (float) (paper ? 0x1p-23 : 1e-20);
  }

  int outputs() {
    return (branches + 1) * size;
  }

  int wide() {
    return branches * size;
  }

  // places in the one array
  int rowsAt() {
    return 0;
  }

  int streamAt() {
    return tokens * inputs;
  }

  int weightAt() {
    return streamAt() + tokens * wide();
  }

  int biasAt() {
    return weightAt() + outputs() * inputs;
  }

  int queryAt() {
    return biasAt() + (paper ? outputs() : 0);
  }

  int keyAt() {
    return queryAt() + wide();
  }

  int tapsAt() {
    return keyAt() + wide();
  }

  int normAt() {
    return tapsAt() + (paper ? wide() * KERNEL : 0);
  }

  int count() {
    return normAt() + (paper ? wide() : 0);
  }

  /** What forward computes on the way. */
  final class Trace {
    final double[] kv = new double[tokens * outputs()];
    final double[] s = new double[tokens * branches];
    final double[] rx = new double[tokens * branches];
    final double[] rk = new double[tokens * branches];
    final double[] gates = new double[tokens * branches];
    final double[] gated = new double[tokens * wide()];
    final double[] scale = new double[tokens * branches];
    final double[] normed = new double[tokens * wide()];
    final double[] sums = new double[tokens * wide()];
    final double[] out = new double[tokens * wide()];
  }

  Trace forward(double[] v) {
    Trace t = new Trace();
    for (int n = 0; n < tokens; n++) {
      for (int o = 0; o < outputs(); o++) {
        double sum = paper ? v[biasAt() + o] : 0;
        for (int i = 0; i < inputs; i++) {
          sum += v[weightAt() + o * inputs + i] * v[rowsAt() + n * inputs + i];
        }
        t.kv[n * outputs() + o] = sum;
      }
      for (int h = 0; h < branches; h++) {
        gate(v, t, n, h);
      }
    }
    for (int n = 0; n < tokens; n++) {
      for (int c = 0; c < wide(); c++) {
        double z = 0;
        for (int tap = 0; paper && tap < KERNEL; tap++) {
          int from = n - dilation * (KERNEL - 1 - tap);
          if (from >= start[n]) {
            z += v[tapsAt() + c * KERNEL + tap] * t.normed[from * wide() + c];
          }
        }
        t.sums[n * wide() + c] = z;
        double added = live[n] ? t.gated[n * wide() + c] + z / (1 + Math.exp(-z)) : 0;
        t.out[n * wide() + c] = v[streamAt() + n * wide() + c] + added;
      }
    }
    return t;
  }

  private void gate(double[] v, Trace t, int n, int h) {
    int unit = n * branches + h;
    double xx = 0;
    double kk = 0;
    double u = 0;
    for (int i = 0; i < size; i++) {
      double x = v[streamAt() + unit * size + i];
      double k = t.kv[n * outputs() + h * size + i];
      xx += x * x;
      kk += k * k;
      u += x * v[queryAt() + h * size + i] * v[keyAt() + h * size + i] * k;
    }
    t.rx[unit] = 1 / Math.sqrt(xx / size + eps());
    t.rk[unit] = 1 / Math.sqrt(kk / size + eps());
    double s = u * t.rx[unit] * t.rk[unit] / Math.sqrt(size);
    t.s[unit] = s;
    double r = s == 0 && paper ? 0 : Math.copySign(Math.sqrt(Math.max(Math.abs(s), FLOOR)), s);
    t.gates[unit] = live[n] ? 1 / (1 + Math.exp(-r)) : 0;
    double squares = 0;
    for (int i = 0; i < size; i++) {
      double g = t.gates[unit] * t.kv[n * outputs() + branches * size + i];
      t.gated[unit * size + i] = g;
      squares += g * g;
    }
    t.scale[unit] = 1 / Math.sqrt(squares / size + CONV_EPS);
    for (int i = 0; paper && i < size; i++) {
      t.normed[unit * size + i] =
          t.gated[unit * size + i] * t.scale[unit] * v[normAt() + h * size + i];
    }
  }

  /** Returns the gradient of sum(dout * out) for all that can be varied. */
  double[] backward(double[] v, Trace t, double[] dout) {
    double[] d = new double[count()];
    double[] dgated = new double[tokens * wide()];
    double[] dnormed = new double[tokens * wide()];
    for (int n = 0; n < tokens; n++) {
      for (int c = 0; c < wide(); c++) {
        int at = n * wide() + c;
        d[streamAt() + at] += dout[at];
        if (!live[n]) {
          continue;
        }
        dgated[at] += dout[at];
        double sigmoid = 1 / (1 + Math.exp(-t.sums[at]));
        double dz = dout[at] * sigmoid * (1 + t.sums[at] * (1 - sigmoid));
        for (int tap = 0; paper && tap < KERNEL; tap++) {
          int from = n - dilation * (KERNEL - 1 - tap);
          if (from >= start[n]) {
            d[tapsAt() + c * KERNEL + tap] += dz * t.normed[from * wide() + c];
            dnormed[from * wide() + c] += dz * v[tapsAt() + c * KERNEL + tap];
          }
        }
      }
    }
    double[] dkv = new double[tokens * outputs()];
    for (int n = 0; n < tokens; n++) {
      for (int h = 0; h < branches; h++) {
        normBack(v, t, n, h, dnormed, dgated, d);
        if (live[n]) {
          gateBack(v, t, n, h, dgated, dkv, d);
        }
      }
    }
    for (int n = 0; n < tokens; n++) {
      for (int o = 0; o < outputs(); o++) {
        double g = dkv[n * outputs() + o];
        if (paper) {
          d[biasAt() + o] += g;
        }
        for (int i = 0; i < inputs; i++) {
          d[weightAt() + o * inputs + i] += g * v[rowsAt() + n * inputs + i];
          d[rowsAt() + n * inputs + i] += g * v[weightAt() + o * inputs + i];
        }
      }
    }
    return d;
  }

  private void normBack(
      double[] v, Trace t, int n, int h, double[] dnormed, double[] dgated, double[] d) {
    int unit = n * branches + h;
    double r = t.scale[unit];
    double dot = 0;
    for (int i = 0; paper && i < size; i++) {
      int at = unit * size + i;
      dot += dnormed[at] * v[normAt() + h * size + i] * t.gated[at];
      d[normAt() + h * size + i] += dnormed[at] * t.gated[at] * r;
    }
    for (int i = 0; paper && i < size; i++) {
      int at = unit * size + i;
      dgated[at] +=
          dnormed[at] * v[normAt() + h * size + i] * r - dot * r * r * r * t.gated[at] / size;
    }
  }

  private void gateBack(
      double[] v, Trace t, int n, int h, double[] dgated, double[] dkv, double[] d) {
    int unit = n * branches + h;
    double a = t.gates[unit];
    double s = t.s[unit];
    double da = 0;
    for (int i = 0; i < size; i++) {
      int value = n * outputs() + branches * size + i;
      da += dgated[unit * size + i] * t.kv[value];
      dkv[value] += a * dgated[unit * size + i];
    }
    double ds = Math.abs(s) > FLOOR ? da * a * (1 - a) / (2 * Math.sqrt(Math.abs(s))) : 0;
    double c = ds * t.rx[unit] * t.rk[unit] / Math.sqrt(size);
    for (int i = 0; i < size; i++) {
      double x = v[streamAt() + unit * size + i];
      double k = t.kv[n * outputs() + h * size + i];
      double q = v[queryAt() + h * size + i];
      double w = v[keyAt() + h * size + i];
      d[streamAt() + unit * size + i] +=
          c * q * w * k - ds * s * t.rx[unit] * t.rx[unit] * x / size;
      dkv[n * outputs() + h * size + i] +=
          c * q * w * x - ds * s * t.rk[unit] * t.rk[unit] * k / size;
      d[queryAt() + h * size + i] += c * x * k * w;
      d[keyAt() + h * size + i] += c * x * k * q;
    }
  }
}
