package io.engram4j.cli;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.engram4j.tck.TemporaryDirectory;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import javax.imageio.ImageIO;

/** Headless Chromium, which ci/install-tools.sh installs. */
final class Browser {
  private Browser() {}

  private static Path program() {
    return Stream.of("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
        .map(Path::of)
        .filter(Files::isExecutable)
        .findFirst()
        .orElse(Path.of(""));
  }

  private static Cli.Result run(Path page, String... more) throws IOException {
    assumeTrue(!program().toString().isEmpty(), "no Chromium; ci/install-tools.sh installs it");
    try (TemporaryDirectory profile = TemporaryDirectory.make("engram-browser-")) {
      return run(page, profile.path(), more);
    }
  }

  private static Cli.Result run(Path page, Path profile, String... more) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(program().toString());
    command.addAll(
        List.of(
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=900,6000",
            "--user-data-dir=" + profile));
    command.addAll(List.of(more));
    command.add(page.toUri().toString());
    return Cli.process(Map.of(), "", command);
  }

  /** Returns the document that the browser made of a page. */
  static String dom(Path page) throws IOException {
    return run(page, "--dump-dom").out();
  }

  /** Returns how many colours the page has on the screen. */
  static int colours(Path page) throws IOException {
    Path picture = page.resolveSibling("page.png");
    Cli.Result result = run(page, "--screenshot=" + picture);
    BufferedImage image = ImageIO.read(picture.toFile());
    if (image == null) {
      throw new IOException("no picture: " + result.err());
    }
    Set<Integer> colours = new HashSet<>();
    for (int y = 0; y < image.getHeight(); y += 3) {
      for (int x = 0; x < image.getWidth(); x += 3) {
        colours.add(image.getRGB(x, y));
      }
    }
    return colours.size();
  }
}
