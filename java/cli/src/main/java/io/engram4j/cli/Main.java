package io.engram4j.cli;

import io.engram4j.host.Printable;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/**
 * The {@code engram} command. Exit codes: 0 ok, 1 a check failed, 2 bad usage or input, told in one
 * {@code error:} line.
 */
@Command(
    name = "engram",
    versionProvider = Version.class,
    mixinStandardHelpOptions = true,
    description = "DeepSeek's conditional memory, Engram, on the JVM.",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      DemoCommand.class,
      InspectCommand.class,
      MapCommand.class,
      HashCommand.class,
      RunCommand.class,
      PackCommand.class,
      ShardCommand.class,
      ServeCommand.class,
      PlanCommand.class,
      ProfileCommand.class,
      TrainCommand.class,
      TeachCommand.class,
      AnalyzeCommand.class,
      VerifyCommand.class,
      DoctorCommand.class,
      BenchCommand.class,
      CommandLine.HelpCommand.class
    })
public final class Main implements Runnable {
  /** Exit code: a check failed. */
  static final int FAILED = 1;

  private static final int MAX_ERROR = 2000;

  /** Exit code: bad usage or input. */
  static final int BAD_INPUT = 2;

  @Spec CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--debug",
      scope = ScopeType.INHERIT,
      description = "On an error, print the stack trace too; log what goes on.")
  boolean debug;

  /** Runs the command and exits. */
  public static void main(String[] args) {
    if (java.util.Arrays.asList(args).contains("--debug")) {
      System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "debug"); // before any logger
    }
    int exit;
    try {
      exit = commandLine().execute(args);
      Output.requireWritten();
    } catch (IOException | Error e) {
      exit = error(describe(e)); // picocli leaves errors such as a full heap to its caller
    }
    System.exit(exit);
  }

  static CommandLine commandLine() {
    Main main = new Main();
    CommandLine line = new CommandLine(main);
    line.setExpandAtFiles(false); // text may begin with an @
    line.setAllowOptionsAsOptionParameters(true); // and look like an option
    line.setParameterExceptionHandler((e, args) -> {
      String command = e.getCommandLine().getCommandSpec().qualifiedName();
      String message = String.valueOf(e.getMessage()).replaceFirst("^Error: ", "");
      if (e instanceof CommandLine.UnmatchedArgumentException unmatched) {
        message = unmatched(unmatched, command, message);
      }
      return error(message + " (see " + command + " --help)");
    });
    line.setExecutionExceptionHandler((e, commandLine, parsed) -> {
      if (main.debug) {
        e.printStackTrace(stderr());
      }
      return error(describe(e));
    });
    return line;
  }

  /** What somebody may have meant. */
  private static String unmatched(
      CommandLine.UnmatchedArgumentException e, String command, String message) {
    String first = e.getUnmatched().getFirst();
    if (first.matches("-[DX].+")) {
      return "'" + first + "' is an option of java; set ENGRAM_JAVA_OPTS='" + first + "'";
    }
    if (command.equals("engram")) {
      List<String> near = e.getSuggestions();
      return "there is no command '"
          + first
          + "'"
          + (near.isEmpty() ? "" : "; did you mean " + String.join(" or ", near) + "?");
    }
    return message;
  }

  private static PrintStream stderr() {
    return new PrintStream(System.err, true, StandardCharsets.UTF_8);
  }

  private static int error(String message) {
    // one line, of a length that people read, without control sequences for the terminal
    String line = Printable.of(message.strip().replaceAll("\\s*\\R\\s*", " "));
    String end = line.length() > MAX_ERROR ? " ..." : "";
    stderr().println("error: " + line.substring(0, Math.min(MAX_ERROR, line.length())) + end);
    return BAD_INPUT;
  }

  private static String describe(Throwable e) {
    String message = String.valueOf(e.getMessage());
    return switch (e) {
      case UncheckedIOException wrapped when wrapped.getCause() != null ->
          describe(wrapped.getCause());
      case NoSuchFileException missing -> missing.getFile() + " does not exist";
      case AccessDeniedException denied -> "no permission for " + denied.getFile();
      case FileSystemException failed when failed.getReason() != null ->
          failed.getFile() + ": " + failed.getReason();
      case FileSystemException failed -> e.getClass().getSimpleName() + ": " + failed.getFile();
      case FileNotFoundException missing -> message;
      case IOException io -> message;
      case IllegalArgumentException bad -> message;
      case IllegalStateException bad -> message;
      case IndexOutOfBoundsException bad -> message;
      case ArithmeticException bad -> message; // of a training that went wrong
      case OutOfMemoryError full ->
          "out of memory (" + message + "); give java more with ENGRAM_JAVA_OPTS=-Xmx4g";
      default -> "unexpected " + e + "; run with --debug and report it";
    };
  }

  @Override
  public void run() {
    spec.commandLine().usage(System.out);
  }
}
