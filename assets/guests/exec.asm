; exec: what it costs to start a program, as in lmbench.
;
; A child is forked, but instead of going on as a copy it becomes another
; program: new tables, its data from the file, an empty stack. It looks at
; its data and exits.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 10
%endif

_start:
mark_start:
        START_KERNEL
        jmp     processes_start

text_operation: db      " programs started, cycles each: ", 0

%include "processes.inc"

application_start:
        mov     dword [USER], 7
        mov     esi, ITERATIONS
        push    dword 0
        CLOCK_BEGIN
again:  SYSTEM  SYSTEM_FORK
        test    eax, eax
        jz      child
        SYSTEM  SYSTEM_WAIT
        add     [esp], eax
mark_iteration:
        dec     esi
        jnz     again
        CLOCK_END
        pop     edx
        shl     edx, 8
        add     edx, [USER]
        SYSTEM  SYSTEM_FINISH

child:  mov     ebx, program
        SYSTEM  SYSTEM_EXEC

program:
        push    dword [USER + 4 * 100]  ; from the file: 1
        mov     ebx, [USER + PAGE]      ; a page that nobody has used: 0
        add     ebx, [esp]
        SYSTEM  SYSTEM_EXIT

        align   PAGE
application_end:
image_end:
