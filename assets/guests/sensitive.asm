; sensitive: the instructions that the x86 forgot to protect.
;
; Each reads or changes the state of the processor that a kernel owns
; (its privilege, flags, tables, descriptors), yet does not fault without
; privilege. Robin and Irvine (2000) counted seventeen. A kernel that runs
; deprivileged under plain trap-and-emulate gets the monitor's answer
; instead of its own, and no trap tells the monitor.
;
; The kernel runs each, keeps what it returned, and prints all at the end:
; run it natively and under a monitor, and compare the lines. There is no
; build for Xen: a ported kernel does not use them.

%define LOCAL_TABLE                     ; a sixth descriptor, for SLDT
%include "abi.inc"

LDT_SELECTOR    equ     0x30
NO_SELECTOR     equ     0x38            ; beyond the limit of the GDT

NAME_LENGTH     equ     18              ; of the names at the end

_start:
mark_start:
        START_KERNEL
        mov     eax, LDT_SELECTOR
        lldt    ax
        mov     eax, cr0
        or      eax, CR0_TS             ; a bit that SMSW must show
        mov     cr0, eax
        mov     edi, answers            ; STOSD keeps EAX, the answer

; ---- 1: table registers ----------------------------------------------
mark_sgdt:
        sgdt    [image]                 ; where is the GDT?
        mov     eax, [image + 2]
        stosd
        movzx   eax, word [image]
        stosd
mark_sidt:
        sidt    [image]
        mov     eax, [image + 2]
        stosd
        movzx   eax, word [image]
        stosd
mark_sldt:
        mov     dword [image], 0
        sldt    [image]
        mov     eax, [image]
        stosd
mark_str:
        mov     dword [image], 0
        str     [image]
        mov     eax, [image]
        stosd
mark_smsw:
        mov     dword [image], 0
        smsw    [image]                 ; the low half of CR0
        mov     eax, [image]
        and     eax, 0x0F               ; TS, EM, MP, PE
        stosd

; ---- 2: flags --------------------------------------------------------
mark_pushf:
        pushf
        pop     eax
        and     eax, 0x3200             ; IOPL and IF: 0, we did CLI
        stosd
mark_popf:
        push    dword 0x3202            ; IF = 1 and IOPL = 3: ring 0 may
        popf
        pushf
        pop     eax
        push    dword 0x0002            ; off again
        popf
        and     eax, 0x3200
        stosd

; ---- 3: descriptors, with our privilege against theirs ---------------
mark_lar:
        mov     ecx, KERNEL_DATA
        xor     eax, eax
        lar     eax, ecx                ; access rights, DPL among them
        and     eax, 0x00F0FF00
        stosd
        mov     ecx, TASK_STATE
        xor     eax, eax
        lar     eax, ecx
        and     eax, 0x00F0FF00
        stosd
mark_lsl:
        mov     ecx, KERNEL_DATA
        xor     eax, eax
        lsl     eax, ecx                ; the limit, in bytes
        stosd
mark_verr:
        mov     ecx, KERNEL_DATA + 1    ; as ring 1 would ask: no
        verr    cx
        setz    al
        movzx   eax, al
        stosd
        mov     ecx, NO_SELECTOR
        verr    cx
        setz    al
        movzx   eax, al
        stosd
mark_verw:
        mov     ecx, KERNEL_DATA + 1
        verw    cx
        setz    al
        movzx   eax, al
        stosd

; ---- 4: segment registers, which hold the privilege ------------------
mark_mov_segment:
        mov     eax, cs
        and     eax, 0xFFFF
        stosd
        mov     eax, ss
        and     eax, 0xFFFF
        stosd
mark_push_segment:
        push    cs                      ; the low two bits are the CPL
        pop     eax
        and     eax, 0xFFFF
        stosd
mark_pop_segment:
        push    dword KERNEL_DATA
        pop     es
        mov     eax, es
        and     eax, 0xFFFF
        stosd
        mov     eax, USER_DATA
        mov     es, ax

; ---- 5: control transfers that save or load the privilege ------------
mark_call:
        call    KERNEL_CODE:far_routine ; pushes CS
        stosd
mark_jmp:
        jmp     KERNEL_CODE:.here
.here:  mov     eax, cs
        and     eax, 0xFFFF
        stosd
mark_int:
        int     0x30                    ; pushes EFLAGS and CS
        stosd
        mov     eax, ebx
        stosd
mark_ret:
        push    dword KERNEL_CODE
        push    dword .returned
        retf
.returned:
        mov     eax, cs
        and     eax, 0xFFFF
        stosd
mark_iret:
        push    dword 0x0202            ; IRET loads IF, or keeps it
        push    dword KERNEL_CODE
        push    dword .resumed
        iret
.resumed:
        pushf
        cli
        pop     eax
        and     eax, EFLAGS_IF
        stosd

        ; Print the answers, each after its name.
mark_report:
        call    console_start
        mov     ebx, names
        mov     ecx, answers
.answer:
        mov     esi, ebx
        call    put_string
        mov     eax, [ecx]
        call    note
        call    put_hex
        call    end_line
        add     ebx, NAME_LENGTH
        add     ecx, 4
        cmp     ebx, names_end
        jb      .answer
        call    print_result
mark_done:
        SHUT_DOWN

far_routine:
        mov     eax, [esp + 4]          ; the CS that the call pushed
        and     eax, 0xFFFF
        retf

; INT 0x30: EAX = the CS that it pushed, EBX = IF and IOPL.
software_interrupt:
        mov     eax, [esp + 4]
        and     eax, 0xFFFF
        mov     ebx, [esp + 8]
        and     ebx, 0x3200
        RETURN_FROM_INTERRUPT

unexpected:
        call    console_start
        SAY     text_unexpected
        call    end_line
        SHUT_DOWN

names:
        db      "SGDT base        ", 0
        db      "SGDT limit       ", 0
        db      "SIDT base        ", 0
        db      "SIDT limit       ", 0
        db      "SLDT             ", 0
        db      "STR              ", 0
        db      "SMSW             ", 0
        db      "PUSHF            ", 0
        db      "POPF, PUSHF      ", 0
        db      "LAR kernel data  ", 0
        db      "LAR task state   ", 0
        db      "LSL kernel data  ", 0
        db      "VERR from ring 1 ", 0
        db      "VERR no segment  ", 0
        db      "VERW from ring 1 ", 0
        db      "MOV from CS      ", 0
        db      "MOV from SS      ", 0
        db      "PUSH CS          ", 0
        db      "POP ES           ", 0
        db      "CALL far, its CS ", 0
        db      "JMP far, then CS ", 0
        db      "INT n, its CS    ", 0
        db      "INT n, its flags ", 0
        db      "RET far, then CS ", 0
        db      "IRET, then IF    ", 0
names_end:
text_unexpected:
        db      "unexpected exception", 0

        align   8
image:          dd      0, 0            ; limit, base as SGDT stores them
answers:        times   (names_end - names) / NAME_LENGTH dd 0

TRAPS
        TRAP    6, unexpected, RING_0, INTERRUPT_GATE
        TRAP    10, unexpected, RING_0, INTERRUPT_GATE
        TRAP    11, unexpected, RING_0, INTERRUPT_GATE
        TRAP    12, unexpected, RING_0, INTERRUPT_GATE
        TRAP    13, unexpected, RING_0, INTERRUPT_GATE
        TRAP    0x30, software_interrupt, RING_0, INTERRUPT_GATE
END_TRAPS

%include "support.inc"

        align   PAGE
image_end:
