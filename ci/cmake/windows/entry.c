/* What Windows and the compiler call of a C library's start files, for cross builds without them.
 */

/* Called when the library is loaded: there is nothing to do. */
int DllMainCRTStartup(void *module, unsigned long why, void *reserved);

int DllMainCRTStartup(void *module, unsigned long why, void *reserved) {
  (void)module;
  (void)why;
  (void)reserved;
  return 1;
}

/*
 * Called by functions whose frames are larger than a page, before they take them: x15 has the size
 * in units of 16 bytes. Touches each page in its turn, since Windows makes a stack's next page only
 * when the one above is there. May change x16, x17 and the flags.
 */
__asm__(
    ".globl __chkstk\n"
    "__chkstk:\n"
    "  sub x16, sp, x15, uxtx #4\n"
    "  mov x17, sp\n"
    "0:\n"
    "  sub x17, x17, #4096\n"
    "  ldr xzr, [x17]\n"
    "  cmp x17, x16\n"
    "  b.hi 0b\n"
    "  ret\n");
