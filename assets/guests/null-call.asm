; null-call: what the emptiest service of a kernel costs, as in lmbench.
;
; A process asks N times for the number of its parent. Unlike in `syscall`,
; which measures the way into the kernel and out of it, the kernel does what
; it does for every call: it saves the registers, finds the routine, and
; restores them.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif

_start:
mark_start:
        START_KERNEL
        jmp     processes_start

text_operation: db      " system calls, cycles each: ", 0

%include "processes.inc"

application_start:
        SYSTEM  SYSTEM_GETPPID          ; once unmeasured
        mov     esi, ITERATIONS
        CLOCK_BEGIN
again:  SYSTEM  SYSTEM_GETPPID
mark_iteration:
        dec     esi
        jnz     again
        CLOCK_END
        mov     edx, ITERATIONS
        SYSTEM  SYSTEM_FINISH

        align   PAGE
application_end:
image_end:
