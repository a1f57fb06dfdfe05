package io.engram4j.remote;

/**
 * What an endpoint has done so far.
 *
 * @param address where it is
 * @param generation that it serves, empty while it does not answer
 * @param open whether requests go there
 * @param requests that it got
 * @param failures of these, those that another replica overtook included
 * @param medianNanos of lately, 0 if there were none
 * @param worstNanos which all but a hundredth of them stayed below
 */
public record EndpointStatistics(
    String address,
    String generation,
    boolean open,
    long requests,
    long failures,
    long medianNanos,
    long worstNanos) {}
