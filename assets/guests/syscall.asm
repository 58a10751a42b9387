; syscall: what a system call costs.
;
; An application makes the emptiest system call N times between two reads
; of the time-stamp counter: INT 0x80, into the kernel, count, IRET. Plain
; trap-and-emulate must reflect the call into the deprivileged kernel and
; emulate its IRET; Xen lets the gate lead straight from ring 3 to ring 1.
;
; The cycles are not part of the result: they are what differs.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif

SYSTEM_CALL_NULL        equ     0       ; count this call
SYSTEM_CALL_FINISH      equ     1       ; ECX:EBX = cycles that passed

_start:
mark_start:
        START_KERNEL
%ifdef XEN
        call    open_application        ; let ring 3 reach its pages
%endif
mark_enter_ring_3:
        push    dword USER_DATA
        push    dword app_stack_top
        push    dword USER_FLAGS
        push    dword USER_CODE
        push    dword application
        RETURN_FROM_INTERRUPT

; INT 0x80 through a trap gate: interrupts stay on, so that a plain IRET
; returns from here in every build.
system_call:
        test    eax, eax
        jnz     finish
        inc     dword [calls]
        iret

finish:
mark_measured:
        call    console_start
        mov     eax, ebx                ; cycles, ECX:EBX, divided by N
        mov     edx, ecx
        call    print_cycles
        mov     eax, [calls]
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

text_operation: db      " system calls, cycles each: ", 0

        align   4
calls:          dd      0

TRAPS
        TRAP    0x80, system_call, RING_3, TRAP_GATE
END_TRAPS

%include "measure.inc"
%include "support.inc"
%ifdef XEN
%include "open_xen.inc"
%endif

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
        mov     eax, SYSTEM_CALL_NULL
        int     0x80                    ; once unmeasured, to warm the TLB
        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
call_again:
        mov     eax, SYSTEM_CALL_NULL
        int     0x80
mark_iteration:
        dec     esi
        jnz     call_again
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp
        mov     ebx, eax
        mov     ecx, edx
        mov     eax, SYSTEM_CALL_FINISH
        int     0x80

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:
image_end:
