; fork: what a new process costs, from fork to exit, as in lmbench.
;
; The child gets tables of its own, but no memory: all pages are shared and
; read-only, until one of both writes and gets a copy. Then it exits, and
; the parent has waited for it. With shadow page tables a monitor sees all
; these tables come and go; under Xen the kernel hands them over to be
; checked, and changes its own in one batch.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 10
%endif

_start:
mark_start:
        START_KERNEL
        jmp     processes_start

text_operation: db      " forks, cycles each: ", 0

%include "processes.inc"

application_start:
        mov     dword [USER], 7         ; a page to share
        mov     dword [USER + PAGE], 8
        mov     dword [USER + 2 * PAGE], 9
        mov     esi, ITERATIONS
        push    dword 0                 ; what all children returned
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
        add     edx, [USER]             ; what the children wrote there
        SYSTEM  SYSTEM_FINISH           ; stayed theirs

child:  add     [USER], esi             ; copied now
        mov     ebx, [USER]
        add     ebx, [USER + PAGE]      ; still shared
        SYSTEM  SYSTEM_EXIT

        align   PAGE
application_end:
image_end:
