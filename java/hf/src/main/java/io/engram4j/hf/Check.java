package io.engram4j.hf;

/**
 * One thing that was checked when a model directory was read.
 *
 * @param name what was checked
 * @param passed whether it holds
 * @param detail what was found; for a failure what is wrong, with both numbers that disagree
 */
public record Check(String name, boolean passed, String detail) {}
