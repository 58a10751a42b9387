; context-switch: what it costs to go from one process to another.
;
; Two processes hand the processor to each other N times each. A switch is
; a new page directory, so that the TLB is empty after it, and a new kernel
; stack. (lmbench sends a byte through a pipe instead: the same, and two
; system calls more. Its processes touch no memory either, "2p/0K".)

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 40
%endif
%define OPERATIONS (ITERATIONS * 2)    ; there and back

_start:
mark_start:
        START_KERNEL
        jmp     processes_start

text_operation: db      " context switches, cycles each: ", 0

%include "processes.inc"

application_start:
        mov     dword [USER], 0         ; memory of each process's own
        SYSTEM  SYSTEM_FORK
        mov     esi, ITERATIONS + 1
        test    eax, eax
        jz      child
        SYSTEM  SYSTEM_YIELD            ; once unmeasured: copies pages
        dec     esi
        CLOCK_BEGIN
again:  SYSTEM  SYSTEM_YIELD
        inc     dword [USER]
mark_iteration:
        dec     esi
        jnz     again
        CLOCK_END
        push    ebx
        push    ecx
        SYSTEM  SYSTEM_WAIT
        pop     ecx
        pop     ebx
        mov     edx, [USER]             ; still ours alone
        shl     edx, 16
        or      edx, eax
        SYSTEM  SYSTEM_FINISH

child:  inc     dword [USER]
        SYSTEM  SYSTEM_YIELD
        dec     esi
        jnz     child
        mov     ebx, [USER]
        SYSTEM  SYSTEM_EXIT

        align   PAGE
application_end:
image_end:
