; red-pill: an application asks whether a monitor stands below its kernel.
;
; SIDT, SGDT, SLDT, STR and SMSW read what only a kernel may load, yet
; ring 3 may execute them. A kernel knows what it has loaded. If the
; processor says something else then somebody has loaded other tables, in
; a ring below the kernel's: a monitor that deprivileges. Rutkowska's Red
; Pill (2004) was SIDT alone, and guessed by the address.
;
; VT-x and AMD-V give a guest these registers for its own, and so does a
; processor on which the instructions trap: there is nothing to be seen.
; There is no build for Xen: a ported kernel has not loaded them.

%define LOCAL_TABLE                     ; a sixth descriptor, for SLDT
%include "abi.inc"

LDT_SELECTOR    equ     0x30
CR0_SHOWN       equ     0x0F            ; TS, EM, MP, PE
ANSWERS         equ     7
NAME_LENGTH     equ     12              ; of the names at the end

_start:
mark_start:
        START_KERNEL
        mov     eax, LDT_SELECTOR
        lldt    ax
        mov     eax, cr0
        or      eax, CR0_TS             ; a bit that SMSW must show
        mov     cr0, eax

        ; Tell the application what was loaded.
        mov     edi, loaded
        mov     eax, trap_table
        stosd
        mov     eax, trap_table_end - trap_table - 1
        stosd
        mov     eax, gdt
        stosd
        mov     eax, gdt_end - gdt - 1
        stosd
        mov     eax, LDT_SELECTOR
        stosd
        mov     eax, TASK_STATE
        stosd
        mov     eax, cr0
        and     eax, CR0_SHOWN
        stosd
mark_enter_ring_3:
        push    dword USER_DATA
        push    dword app_stack_top
        push    dword USER_FLAGS
        push    dword USER_CODE
        push    dword application
        RETURN_FROM_INTERRUPT

; INT 0x80: EAX = how many answers were not what was loaded. Print all.
finish:
mark_report:
        call    console_start
        mov     ebp, eax
        xor     ebx, ebx
.answer:
        mov     esi, ebx
        imul    esi, NAME_LENGTH
        add     esi, names
        call    put_string
        SAY     text_loaded
        mov     eax, [loaded + ebx * 4]
        call    put_hex
        SAY     text_read
        mov     eax, [seen + ebx * 4]
        call    put_hex
        call    end_line
        xor     eax, [loaded + ebx * 4]
        neg     eax                     ; carry: they differ
        sbb     eax, eax
        call    note
        inc     ebx
        cmp     ebx, ANSWERS
        jb      .answer
        mov     esi, text_nothing
        test    ebp, ebp
        jz      .verdict
        mov     esi, text_monitor
.verdict:
        call    put_string
        call    end_line
        mov     eax, ebp
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

names:
        db      "IDTR base  ", 0
        db      "IDTR limit ", 0
        db      "GDTR base  ", 0
        db      "GDTR limit ", 0
        db      "LDTR       ", 0
        db      "TR         ", 0
        db      "CR0 low    ", 0
text_loaded:    db      "loaded ", 0
text_read:      db      ", read ", 0
text_nothing:   db      "nothing stands below this kernel", 0
text_monitor:   db      "a monitor stands below this kernel", 0

TRAPS
        TRAP    0x80, finish, RING_3, INTERRUPT_GATE
END_TRAPS

%include "support.inc"

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
mark_application:
        mov     edi, seen               ; STOSD keeps EAX, the answer
mark_sidt:
        sidt    [table]
        mov     eax, [table + 2]
        stosd
        movzx   eax, word [table]
        stosd
mark_sgdt:
        sgdt    [table]
        mov     eax, [table + 2]
        stosd
        movzx   eax, word [table]
        stosd
mark_sldt:
        mov     dword [table], 0
        sldt    [table]
        mov     eax, [table]
        stosd
mark_str:
        mov     dword [table], 0
        str     [table]
        mov     eax, [table]
        stosd
mark_smsw:
        mov     dword [table], 0
        smsw    [table]                 ; the low half of CR0
        mov     eax, [table]
        and     eax, CR0_SHOWN
        stosd

mark_compare:
        xor     eax, eax                ; how many differ
        xor     ecx, ecx
compare:
        mov     edx, [loaded + ecx * 4]
        cmp     edx, [seen + ecx * 4]
        je      .same
        inc     eax
.same:  inc     ecx
        cmp     ecx, ANSWERS
        jb      compare
        int     0x80

        align   4
loaded:         times   ANSWERS dd 0
seen:           times   ANSWERS dd 0
table:          dd      0, 0

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:
image_end:
