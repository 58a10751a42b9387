; page-fault: what a true page fault costs.
;
; An application reads a page that is not there, N times between two reads
; of the time-stamp counter. The kernel's handler does the least that a
; handler can: it drops the error code, steps over the instruction and
; returns. So the fault alone is measured, and no page-table write.
;
; It is a true fault: the guest's own tables say that the page is absent,
; so a monitor with shadow tables must look, and then reflect it.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif

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

; #PF through a trap gate, so that a plain IRET returns from here in every
; build. On the stack: error code, EIP, CS, EFLAGS, ESP, SS.
page_fault:
        inc     dword [faults]
        pop     dword [error_code]      ; IRET expects EIP on top
        add     dword [esp], touch_end - touch
        iret

; INT 0x80: ECX:EBX = the cycles that passed.
finish:
mark_measured:
        call    console_start
        mov     eax, ebx
        mov     edx, ecx
        mov     esi, text_operation
        call    print_cycles
        mov     eax, [faults]
        call    note
        mov     eax, [error_code]       ; 4: from ring 3, a read, absent
        call    note
        FAULT_ADDRESS eax
        sub     eax, absent_page
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

        align   4
faults:         dd      0
error_code:     dd      0

text_operation: db      " page faults, cycles each: ", 0

TRAPS
        TRAP    14, page_fault, RING_0, TRAP_GATE
        TRAP    0x80, finish, RING_3, TRAP_GATE
END_TRAPS

%include "measure.inc"
%include "paging.inc"
%include "support.inc"

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
        mov     eax, [absent_page]      ; once unmeasured: faults
        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
touch:  mov     eax, [absent_page]      ; faults, and is stepped over
touch_end:
mark_iteration:
        dec     esi
        jnz     touch
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp
        mov     ebx, eax
        mov     ecx, edx
        int     0x80

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:

absent_page:
        times   PAGE db 0
image_end:
