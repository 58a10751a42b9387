; rings: why there are rings.
;
; The kernel gives the processor to an application in ring 3. The
; application makes a system call (INT 0x80: a gate that the kernel put
; there on purpose), which doubles a number, and then tries CLI.
; Interrupts are how the kernel gets the processor back, so ring 3 may not
; turn them off: the processor raises a general protection exception
; (#GP), and the kernel reports it.
;
; Follow the ring: 0, 3, 0 by the gate, 3 by IRET, 0 by the exception.
; Under a monitor the kernel is not in ring 0, and takes the same path.

%include "abi.inc"

SYSTEM_CALL_DOUBLE      equ     1       ; EAX = 2 * EBX

_start:
mark_start:
        START_KERNEL
%ifdef XEN
        call    open_application        ; let ring 3 reach its pages
%endif

mark_enter_ring_3:
        ; The way into ring 3 is the way back from an interrupt that
        ; never was: SS, ESP, EFLAGS, CS, EIP.
        push    dword USER_DATA
        push    dword app_stack_top
        push    dword USER_FLAGS
        push    dword USER_CODE
        push    dword application
        RETURN_FROM_INTERRUPT

; INT 0x80. The processor has switched to the kernel's stack (from the
; TSS) and pushed there where the application was.
system_call:
mark_system_call:
        cmp     eax, SYSTEM_CALL_DOUBLE
        jne     .refuse
        lea     eax, [ebx + ebx]
        RETURN_FROM_INTERRUPT
.refuse:
        mov     eax, -1
        RETURN_FROM_INTERRUPT

; #GP. Below the error code stands the address of the instruction.
general_protection:
mark_protection_fault:
        pop     ebx                     ; error code: 0, no selector
        pop     ecx                     ; EIP
        pop     edx                     ; CS
        call    console_start

        SAY     text_call
        mov     eax, [app_answer]
        call    note
        call    put_decimal
        call    end_line

        SAY     text_opcode
        movzx   eax, byte [ecx]         ; FA is CLI
        call    note
        call    put_hex
        SAY     text_ring
        mov     eax, edx
        and     eax, 3                  ; CPL is in the low bits of CS
        call    note
        call    put_decimal
        SAY     text_fault
        mov     eax, ebx
        call    note
        call    put_decimal
        call    end_line

        call    print_result
mark_done:
        SHUT_DOWN

text_call:      db      "system call: 21 doubled is ", 0
text_opcode:    db      "opcode ", 0
text_ring:      db      " in ring ", 0
text_fault:     db      ": #GP, error code ", 0

TRAPS
        TRAP    13, general_protection, RING_0, INTERRUPT_GATE
        TRAP    0x80, system_call, RING_3, INTERRUPT_GATE
END_TRAPS

%include "support.inc"
%ifdef XEN
%include "open_xen.inc"
%endif

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
mark_application:
        mov     eax, SYSTEM_CALL_DOUBLE
        mov     ebx, 21
        int     0x80                    ; allowed: the gate's DPL is 3
        mov     [app_answer], eax
mark_forbidden:
        cli                             ; forbidden: CPL 3 > IOPL 0
mark_unreachable:
        jmp     mark_unreachable        ; never reached

        align   4
app_answer:     dd      0

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:
image_end:
