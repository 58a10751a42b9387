; mmap: what it costs to map a file and to unmap it, as in lmbench.
;
; Eight pages of a file are mapped, one doubleword of each is read, and they
; are unmapped again. Every read of a new page is a fault, in which the
; kernel enters the page of the file into the table; unmapping takes the
; entries away, under Xen in one batch, and flushes the TLB.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 10
%endif

_start:
mark_start:
        START_KERNEL
        jmp     processes_start

text_operation: db      " mappings, cycles each: ", 0

%include "processes.inc"

application_start:
        push    dword 0
        call    once                    ; unmeasured: reads the file
        mov     esi, ITERATIONS
        CLOCK_BEGIN
again:  call    once
mark_iteration:
        dec     esi
        jnz     again
        CLOCK_END
        pop     edx
        SYSTEM  SYSTEM_FINISH

once:   mov     ebx, 8
        SYSTEM  SYSTEM_MMAP
        mov     ecx, 8
.touch: mov     edx, [eax]
        add     [esp + 4], edx
        add     eax, PAGE
        dec     ecx
        jnz     .touch
        SYSTEM  SYSTEM_MUNMAP
        ret

        align   PAGE
application_end:
image_end:
