package io.engram4j.remote;

import java.util.regex.Pattern;

/** Addresses as messages have them. */
public final class Addresses {
  private static final Pattern PASSWORD = Pattern.compile("(://[^:@/]*):[^@/]*@");

  private Addresses() {}

  /** Returns an address without its password, if it has one. */
  public static String shown(String address) {
    return PASSWORD.matcher(address).replaceAll("$1:***@");
  }
}
