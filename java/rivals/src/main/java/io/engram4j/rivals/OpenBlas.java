package io.engram4j.rivals;

import io.engram4j.bench.ratio.Rival;
import java.util.Optional;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.openblas.global.openblas;
import org.bytedeco.openblas.global.openblas_nolapack;

/** The projection by OpenBLAS in float32, on one thread. */
public final class OpenBlas implements Rival {
  /** Made by the service loader. */
  public OpenBlas() {
    openblas_nolapack.blas_set_num_threads(1);
  }

  @Override
  public String name() {
    String version = openblas.class.getPackage().getImplementationVersion();
    return version == null ? "OpenBLAS" : "OpenBLAS " + version.split("-", -1)[0];
  }

  /** Memory of somebody else, as javacpp sees it. */
  private static final class At extends Pointer {
    At(long address) {
      this.address = address;
    }
  }

  private static FloatPointer at(long address) {
    return new FloatPointer(new At(address));
  }

  @Override
  public Optional<Runnable> project(Project project) {
    FloatPointer weight = at(project.weight().address());
    FloatPointer in = at(project.in().address());
    FloatPointer out = at(project.out().address());
    int outputs = project.outputs();
    int inputs = project.inputs();
    if (project.tokens() == 1) { // what a user calls for one token, and four times as fast
      return Optional.of(() ->
          openblas.cblas_sgemv(
              openblas.CblasRowMajor,
              openblas.CblasNoTrans,
              outputs,
              inputs,
              1,
              weight,
              inputs,
              in,
              1,
              0,
              out,
              1));
    }
    return Optional.of(() ->
        openblas.cblas_sgemm(
            openblas.CblasRowMajor,
            openblas.CblasNoTrans,
            openblas.CblasTrans,
            project.tokens(),
            outputs,
            inputs,
            1,
            in,
            inputs,
            weight,
            inputs,
            0,
            out,
            outputs));
  }

  @Override
  public void close() {}
}
