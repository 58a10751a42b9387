; privileged-app: an application tries what only a kernel may do.
;
; One privileged instruction after another, in ring 3. Each would take the
; processor away from the kernel, or the memory, or a device; so each is
; refused with an exception, and the kernel writes down which. That the
; processor refuses is what a monitor builds on: a kernel moved out of
; ring 0 meets the same exceptions, and the monitor takes them.
;
; The kernel lets the application go on behind the instruction, and at the
; end reports each one with the vector of its exception, or that it was
; executed.

%include "abi.inc"

SLOT            equ     16              ; bytes an attempt, with padding
NAME_LENGTH     equ     15              ; of the names at the end

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

; #UD, #GP: note the vector in the attempt's entry of `outcomes`, and go
; on with the next attempt. Through a trap gate, so that a plain IRET
; returns from here in every build.
invalid_opcode:
        push    dword 0                 ; it has no error code
        push    dword 6
        jmp     refused
general_protection:
        push    dword 13
refused:
        pushad                          ; 32 bytes; above them the vector,
        mov     eax, [esp + 40]         ; error code, EIP
        sub     eax, attempts
        shr     eax, 4                  ; which attempt
        mov     edx, [esp + 32]
        mov     [outcomes + eax * 4], edx
        inc     eax
        shl     eax, 4
        add     eax, attempts
        mov     [esp + 40], eax
        popad
        add     esp, 8
        iret

; INT 0x80: report.
finish:
mark_report:
        call    console_start
        xor     ebx, ebx
.attempt:
        mov     esi, ebx
        imul    esi, NAME_LENGTH
        add     esi, names
        call    put_string
        mov     eax, [outcomes + ebx * 4]
        call    note
        mov     esi, text_done
        test    eax, eax
        jz      .executed
        SAY     text_vector
        call    put_decimal
        mov     esi, text_empty
.executed:
        call    put_string
        call    end_line
        inc     ebx
        cmp     ebx, (attempts_end - attempts) / SLOT
        jb      .attempt
        call    print_result
mark_done:
        SHUT_DOWN

%macro NAME 1
%%name: db      %1
        times   NAME_LENGTH - ($ - %%name) db 0
%endmacro

names:
        NAME    "CLI           "
        NAME    "STI           "
        NAME    "HLT           "
        NAME    "LGDT          "
        NAME    "LIDT          "
        NAME    "LLDT          "
        NAME    "LTR           "
        NAME    "LMSW          "
        NAME    "CLTS          "
        NAME    "MOV CR0, EAX  "
        NAME    "MOV EAX, CR0  "
        NAME    "MOV CR2, EAX  "
        NAME    "MOV CR3, EAX  "
        NAME    "MOV CR4, EAX  "
        NAME    "MOV DR7, EAX  "
        NAME    "MOV EAX, DR7  "
        NAME    "INVLPG        "
        NAME    "INVD          "
        NAME    "WBINVD        "
        NAME    "RDMSR         "
        NAME    "WRMSR         "
        NAME    "IN AL, 80h    "
        NAME    "OUT 80h, AL   "
        NAME    "IN EAX, DX    "
        NAME    "INSB          "
        NAME    "OUTSB         "
        NAME    "UD2           "
text_vector:    db      "exception ", 0
text_done:      db      "executed", 0
text_empty:     db      0

        align   4
outcomes:       times   (attempts_end - attempts) / SLOT dd 0

TRAPS
        TRAP    6, invalid_opcode, RING_0, TRAP_GATE
        TRAP    13, general_protection, RING_0, TRAP_GATE
        TRAP    0x80, finish, RING_3, TRAP_GATE
END_TRAPS

%include "support.inc"
%ifdef XEN
%include "open_xen.inc"
%endif

; ---- ring 3 ----------------------------------------------------------

%macro ATTEMPT 1+                       ; one instruction a slot
        %1
        align   SLOT
%endmacro

        align   PAGE
application:
mark_application:
        xor     eax, eax                ; harmless, should one of them be
        mov     ecx, 0x174              ; let through: an MSR that is there
        xor     edx, edx
        mov     edi, scratch
        mov     esi, scratch
        align   SLOT
attempts:
mark_attempts:
        ATTEMPT cli
        ATTEMPT sti
        ATTEMPT hlt
        ATTEMPT lgdt [scratch]
        ATTEMPT lidt [scratch]
        ATTEMPT lldt ax
        ATTEMPT ltr ax
        ATTEMPT lmsw ax
        ATTEMPT clts
        ATTEMPT mov cr0, eax
        ATTEMPT mov eax, cr0
        ATTEMPT mov cr2, eax
        ATTEMPT mov cr3, eax
        ATTEMPT mov cr4, eax
        ATTEMPT mov dr7, eax
        ATTEMPT mov eax, dr7
        ATTEMPT invlpg [scratch]
        ATTEMPT invd
        ATTEMPT wbinvd
        ATTEMPT rdmsr
        ATTEMPT wrmsr
        ATTEMPT in al, 0x80
        ATTEMPT out 0x80, al
        ATTEMPT in eax, dx
        ATTEMPT insb
        ATTEMPT outsb
        ATTEMPT ud2                     ; what means nothing in any ring
attempts_end:
mark_attempted:
        int     0x80

        align   4
scratch:        dd      0, 0

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:
image_end:
