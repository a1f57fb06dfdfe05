package io.engram4j.hf;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The fields of a config.json, read strictly: messages name the file and the field. Released files
 * have some beside {@code text_config} that belong to it, such as {@code image_token_id}: what the
 * section lacks is looked for there.
 */
final class ConfigFields {
  private static final Logger LOG = LoggerFactory.getLogger(ConfigFields.class);

  private final String file;
  private final JsonNode section;
  private final JsonNode root;

  ConfigFields(String file, JsonNode section, JsonNode root) {
    this.file = file;
    this.section = section;
    this.root = root;
  }

  /** Returns whether a field is at either level, and not null. */
  boolean has(String name) {
    return section.hasNonNull(name) || root.hasNonNull(name);
  }

  private @Nullable JsonNode get(String name) {
    return section.hasNonNull(name) ? section.get(name) : root.get(name);
  }

  /** Returns the one of two names that is there, the first if none is. */
  String either(String name, String other) {
    return has(name) || !has(other) ? name : other;
  }

  /** One start of the prime search for all orders, or one per order. */
  List<Long> vocabSizes(String name, int maxNgram) throws IOException {
    JsonNode node = require(name);
    if (node.isArray()) {
      return longs(name);
    }
    if (maxNgram < 2 || maxNgram > 64) {
      throw new IOException(file + ": max n-gram is " + maxNgram + ", not between 2 and 64");
    }
    return Collections.nCopies(maxNgram - 1, wholeNumber(name, node));
  }

  private JsonNode require(String name) throws IOException {
    JsonNode node = get(name);
    if (node == null || node.isNull()) {
      throw new IOException(file + ": " + name + " is missing");
    }
    return node;
  }

  int integer(String name) throws IOException {
    return toInt(name, wholeNumber(name, require(name)));
  }

  /** Returns a whole number, or another if the field is not there. */
  int integer(String name, int otherwise) throws IOException {
    return has(name) ? integer(name) : otherwise;
  }

  /** Returns a whole number, the first of a list: engines differ in which they take. */
  int firstInteger(String name) throws IOException {
    JsonNode node = require(name);
    if (!node.isArray()) {
      return integer(name);
    }
    List<Integer> all = integers(name);
    if (all.isEmpty()) {
      throw new IOException(file + ": " + name + " is an empty list");
    }
    if (all.size() > 1) {
      LOG.warn("{}: of {} {} the first is taken", file, name, all);
    }
    return all.getFirst();
  }

  /** Returns a whole number, or another if the field is not there. */
  long wholeNumber(String name, long otherwise) throws IOException {
    return has(name) ? wholeNumber(name, require(name)) : otherwise;
  }

  OptionalInt optionalInteger(String name) throws IOException {
    return has(name) ? OptionalInt.of(integer(name)) : OptionalInt.empty();
  }

  List<Integer> integers(String name) throws IOException {
    List<Integer> values = new ArrayList<>();
    for (long value : longs(name)) {
      values.add(toInt(name, value));
    }
    return values;
  }

  private int toInt(String name, long value) throws IOException {
    if (value != (int) value) {
      throw new IOException(file + ": " + name + " is " + value + ", beyond 32 bits");
    }
    return (int) value;
  }

  /** Returns whole numbers, none if the field is not there. */
  List<Long> optionalLongs(String name) throws IOException {
    return has(name) ? longs(name) : List.of();
  }

  private List<Long> longs(String name) throws IOException {
    JsonNode node = require(name);
    if (!node.isArray()) {
      throw new IOException(file + ": " + name + " is " + node + ", not a list");
    }
    List<Long> values = new ArrayList<>();
    for (JsonNode element : node) {
      values.add(wholeNumber(name, element));
    }
    return values;
  }

  private long wholeNumber(String name, JsonNode node) throws IOException {
    if (!node.isIntegralNumber() || !node.canConvertToLong()) {
      throw new IOException(file + ": " + name + " is " + shown(node) + ", not a whole number");
    }
    return node.longValue();
  }

  /** Returns a number, or another if the field is not there. */
  double number(String name, double otherwise) throws IOException {
    if (!has(name)) {
      return otherwise;
    }
    JsonNode node = require(name);
    if (!node.isNumber()) {
      throw new IOException(file + ": " + name + " is " + shown(node) + ", not a number");
    }
    return node.doubleValue();
  }

  /** Returns what is wrong with fields that do not fit each other. */
  IOException wrong(String what) {
    return new IOException(file + ": " + what);
  }

  private static String shown(JsonNode node) {
    String text = node.toString();
    return text.length() <= 60 ? text : text.substring(0, 60) + "...";
  }
}
