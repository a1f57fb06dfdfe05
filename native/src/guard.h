/*
 * A page of a mapped file that cannot be had, since the file became shorter or its disk failed, is
 * a signal and the end of the process. Under the guard it is a status of the call instead.
 */
#ifndef ENGRAM_GUARD_H
#define ENGRAM_GUARD_H

/* Runs work(arguments) with the thread's ordinary floating-point setting, under the guard if there
   is one; returns its status, or ENGRAM_ERROR_MEMORY. */
int engram_guarded(int (*work)(void *arguments), void *arguments);

#endif
