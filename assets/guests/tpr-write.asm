; tpr-write: what a change of the interrupt priority costs.
;
; The task priority register of the local APIC says which interrupts may
; not enter now. Some kernels write it at every entry and exit, so the
; kernel here does so N times 16, between two reads of the time-stamp
; counter: up to 0xF0, which lets nothing in, and down to 0.
;
; The register is memory that a device answers, at FEE00080. A monitor
; must be told of each store, unless the processor keeps a shadow of the
; register for it.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif
%define EACH_TURN 16
%define OPERATIONS (ITERATIONS * EACH_TURN)

APIC_TPR        equ     0xFEE00080      ; task priority register

_start:
mark_start:
        START_KERNEL
        mov     ecx, APIC_TPR
        mov     edx, 0xF0
        mov     [ecx], edx              ; once unmeasured
        mov     eax, [ecx]              ; and what it then says
        and     eax, 0xFF
        call    note
        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
        xor     eax, eax
        mov     edx, 0xF0
write_again:
%rep EACH_TURN / 2
        mov     [ecx], edx              ; nothing may enter
        mov     [ecx], eax              ; everything may
%endrep
mark_iteration:
        dec     esi
        jnz     write_again
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp

mark_measured:
        call    console_start
        mov     esi, text_operation
        call    print_cycles
        mov     eax, [ecx]
        and     eax, 0xFF
        call    note
        mov     eax, ITERATIONS
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

unexpected:
        call    console_start
        SAY     text_unexpected
        call    end_line
        SHUT_DOWN

text_operation: db      " writes of the priority, cycles each: ", 0

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
