/*
 * Starts a flat image from disk on a bare x86-64 machine: a boot sector that loads the rest behind
 * itself, then long mode with 1 GiB mapped and every register set up to AVX-512 enabled, then main.
 */
  .section .boot, "ax"
  .code16
  .global _start
_start:
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw $0x7c00, %sp
  ljmp $0, $1f
1:
  movb %dl, drive
  inb $0x92, %al /* the A20 line, without which every other MiB is missing */
  orb $2, %al
  outb %al, $0x92
load: /* 32 sectors at a time, so that none crosses a segment */
  movw $packet, %si
  movb $0x42, %ah
  movb drive, %dl
  int $0x13
  jc failed
  addw $0x400, segment /* 32 * 512 / 16 */
  addl $32, lba
  subw $32, left
  ja load
  lgdt gdt_pointer
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  ljmp $8, $protected
failed:
  hlt
  jmp failed

  .balign 4
drive:
  .byte 0
  .balign 4
packet: /* of the BIOS's extended read */
  .byte 16, 0
  .word 32
  .word 0
segment:
  .word 0x7e0
lba:
  .quad 1
left:
  .word image_sectors
  .balign 8
gdt:
  .quad 0
  .quad 0x00cf9a000000ffff /* 32-bit code */
  .quad 0x00cf92000000ffff /* data */
  .quad 0x00af9a000000ffff /* 64-bit code */
gdt_pointer:
  .word gdt_pointer - gdt - 1
  .long gdt
  .org 510
  .word 0xaa55

  .text
  .code32
protected:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  /* page tables at 0x1000: 512 pages of 2 MiB, each where it is */
  movl $0x1000, %edi
  xorl %eax, %eax
  movl $0xc00, %ecx
  rep stosl
  movl $0x2003, 0x1000
  movl $0x3003, 0x2000
  movl $0x3000, %edi
  movl $0x83, %eax
2:
  movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  cmpl $0x4000, %edi
  jb 2b
  movl $0x40620, %eax /* CR4: PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
  movl %eax, %cr4
  movl $0x1000, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx /* EFER: long mode */
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl %cr0, %eax
  andl $~0xc, %eax /* no emulation, no task switched */
  orl $0x80000002, %eax
  movl %eax, %cr0
  ljmp $24, $long_mode

  .code64
long_mode:
  movl $bss_start, %edi
  movl $bss_end, %ecx
  subl %edi, %ecx
  xorl %eax, %eax
  rep stosb
  movl $0xe6 | 1, %eax /* XCR0: x87, XMM, YMM, masks, ZMM */
  xorl %edx, %edx
  xorl %ecx, %ecx
  xsetbv
  movl $stack_top, %esp
  call main
3:
  hlt
  jmp 3b
  .section .note.GNU-stack, "", @progbits
