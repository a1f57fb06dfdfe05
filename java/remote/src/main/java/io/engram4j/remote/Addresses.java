package io.engram4j.remote;

import java.util.regex.Pattern;

/** Addresses as messages have them. */
public final class Addresses {
  private static final Pattern PASSWORD = Pattern.compile("^((?:[^:/]*://)?).*@");

  private Addresses() {}

  /** Returns an address without user and password, if it has them. */
  public static String shown(String address) {
    return PASSWORD.matcher(address).replaceFirst("$1***@");
  }
}
