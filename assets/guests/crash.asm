; crash: an application makes its kernel fall.
;
; The kernel has a system call too many: an application may say where the
; kernel's stack is. This one names a page that is not there. The next
; entry into the kernel has nowhere to push where the application was:
; that is a page fault, which has nowhere to push either, which makes a
; double fault, which cannot be delivered: the processor gives up and
; shuts down (a triple fault).
;
; On the bare machine that was the machine. Below a monitor it is one
; virtual machine: the monitor sees the processor give up, or sees that it
; would, and the others go on. Xen never trusts the stack: it finds that
; it cannot put the frame there, and ends the domain.
;
; The result is printed before, as there is no kernel after.

%include "abi.inc"

SYSTEM_CALL_STACK       equ     1       ; the kernel's stack ends at ECX
SYSTEM_CALL_REPORT      equ     2       ; print how often it was called

_start:
mark_start:
        START_KERNEL
        call    paging_start
        mov     ebx, application        ; ring 3 may use these pages
        mov     ecx, application_end
        call    open_pages
        mov     ebx, absent_page        ; and nobody this one
        xor     ecx, ecx
        call    set_entry
mark_enter_ring_3:
        push    dword USER_DATA
        push    dword app_stack_top
        push    dword USER_FLAGS
        push    dword USER_CODE
        push    dword application
        RETURN_FROM_INTERRUPT

system_call:
        inc     dword [calls]
        cmp     eax, SYSTEM_CALL_STACK
        jne     report
mark_set_stack:
        pushad
        KERNEL_STACK ecx                ; no question asked
        popad
        iret

report:
mark_report:
        pushad
        call    console_start
        SAY     text_calls
        mov     eax, [calls]
        call    note
        call    put_decimal
        call    end_line
        call    print_result
        popad
        iret

; A page fault or a double fault that can be told of, after all.
survived:
        call    console_start
        SAY     text_survived
        call    end_line
        SHUT_DOWN

text_calls:     db      "system calls so far: ", 0
text_survived:  db      "the kernel has survived", 0

        align   4
calls:          dd      0

TRAPS
        TRAP    8, survived, RING_0, INTERRUPT_GATE
        TRAP    14, survived, RING_0, INTERRUPT_GATE
        TRAP    0x80, system_call, RING_3, TRAP_GATE
END_TRAPS

%include "paging.inc"
%include "support.inc"

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
mark_application:
        mov     eax, SYSTEM_CALL_STACK
        mov     ecx, kernel_stack_top   ; where it is anyway: harmless
        int     0x80
        mov     eax, SYSTEM_CALL_REPORT
        int     0x80
mark_sabotage:
        mov     eax, SYSTEM_CALL_STACK
        mov     ecx, absent_page + PAGE
        int     0x80
mark_fall:
        int     0x80                    ; nobody comes back from this
        jmp     mark_fall

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:

absent_page:
        times   PAGE db 0
image_end:
