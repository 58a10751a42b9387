; protection-fault: what it costs to be told of a forbidden write, as in
; lmbench.
;
; A process has a page protected and writes to it. The processor faults,
; the kernel makes a signal of it, and the handler in the process returns
; through the kernel to the same instruction, which faults again: N times.
; The last time the handler goes elsewhere.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 50
%endif

_start:
mark_start:
        START_KERNEL
        jmp     processes_start

text_operation: db      " protection faults, cycles each: ", 0

%include "processes.inc"

application_start:
        mov     dword [USER], 7
        push    dword 0                 ; so that there is a stack
        mov     ebx, handler
        SYSTEM  SYSTEM_SIGNAL
        mov     ebx, USER
        SYSTEM  SYSTEM_PROTECT
        mov     esi, ITERATIONS
        CLOCK_BEGIN
        mov     dword [USER], 1         ; again and again
handler:
mark_iteration:
        dec     esi
        jz      done
        ret                             ; to signal_return
done:   CLOCK_END
        mov     edx, [USER]             ; nothing was written
        SYSTEM  SYSTEM_FINISH

        align   PAGE
application_end:
image_end:
