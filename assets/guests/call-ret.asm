; call-ret: what a call and its return cost.
;
; The kernel calls a routine that returns at once, N times 16 between two
; reads of the time-stamp counter. Nothing here is privileged or
; sensitive: trap-and-emulate, VT-x and AMD-V leave it to the processor.
; Only a binary translator must touch it, for the address on the stack is
; the guest's and not where the translated code is, so that each return
; has to be looked up.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif
%define EACH_TURN 16
%define OPERATIONS (ITERATIONS * EACH_TURN)

_start:
mark_start:
        START_KERNEL
        xor     ebx, ebx
        call    counted                 ; once unmeasured
        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
call_again:
%rep EACH_TURN
        call    routine
%endrep
mark_iteration:
        dec     esi
        jnz     call_again
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp

mark_measured:
        call    console_start
        mov     esi, text_operation
        call    print_cycles
        call    counted                 ; the stack is where it was
        mov     eax, ebx
        call    note
        mov     eax, kernel_stack_top
        sub     eax, esp
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

routine:
        ret

counted:
        inc     ebx
        ret

unexpected:
        call    console_start
        SAY     text_unexpected
        call    end_line
        SHUT_DOWN

text_operation: db      " calls and returns, cycles each: ", 0

text_unexpected:
                db      "unexpected exception", 0

TRAPS
        TRAP    6, unexpected, RING_0, INTERRUPT_GATE
        TRAP    13, unexpected, RING_0, INTERRUPT_GATE
        TRAP    14, unexpected, RING_0, INTERRUPT_GATE
END_TRAPS

%include "measure.inc"
%include "support.inc"

        align   PAGE
image_end:
