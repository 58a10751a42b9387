; in: what an access to a port costs.
;
; The kernel reads port 0x80, which no device of this guest's answers, N
; times between two reads of the time-stamp counter. On the bare machine
; the processor waits for a bus outside of it. Below a monitor the
; instruction traps or exits, and the monitor answers out of a model of
; the device, which may be slower or faster than the bus.
;
; There is no build for Xen: a ported kernel asks for what it wants, and
; has no ports.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif

POST_PORT       equ     0x80            ; where a BIOS shows how far it is

_start:
mark_start:
        START_KERNEL
        in      al, POST_PORT           ; once unmeasured
        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
in_again:
        in      al, POST_PORT
mark_iteration:
        dec     esi
        jnz     in_again
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp

mark_measured:
        call    console_start
        mov     esi, text_operation
        call    print_cycles
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

text_operation: db      " reads of port 80h, cycles each: ", 0

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
