; divide-error: what an exception costs that no monitor has asked for.
;
; The kernel divides by zero, N times between two reads of the time-stamp
; counter. The divide error (#DE) comes back to the kernel itself, whose
; handler steps over the instruction and returns: the barest round trip
; through the descriptor tables. No memory is managed by it and no device
; reached, so a monitor gains nothing from seeing it. Deprivileged
; kernels show it to theirs anyway; VT-x and AMD-V can let it through.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif

_start:
mark_start:
        START_KERNEL
        mov     eax, 0x12345678         ; a dividend that must survive
        mov     edx, 0x9ABCDEF0
        mov     [dividend], eax
        mov     [dividend + 4], edx
        xor     ebx, ebx
        div     ebx                     ; once unmeasured
        call    check

        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
        mov     eax, [dividend]
        mov     edx, [dividend + 4]
divide: div     ebx                     ; faults, and is stepped over
divide_end:
mark_iteration:
        dec     esi
        jnz     divide
        call    check
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp

mark_measured:
        call    console_start
        mov     esi, text_operation
        call    print_cycles
        mov     eax, [wrong]
        call    note
        mov     eax, ITERATIONS
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

; Did DIV leave its dividend alone? That is what makes it a fault.
check:  cmp     eax, [dividend]
        jne     .wrong
        cmp     edx, [dividend + 4]
        jne     .wrong
        ret
.wrong: inc     dword [wrong]
        ret

; #DE through a trap gate, so that a plain IRET returns from here in every
; build. On the stack: EIP, which is DIV's, CS, EFLAGS.
divide_error:
        add     dword [esp], divide_end - divide
        iret

text_operation: db      " divide errors, cycles each: ", 0

        align   4
dividend:       dd      0, 0
wrong:          dd      0

TRAPS
        TRAP    0, divide_error, RING_0, TRAP_GATE
END_TRAPS

%include "measure.inc"
%include "support.inc"

        align   PAGE
image_end:
