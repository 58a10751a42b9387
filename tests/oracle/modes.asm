; modes.asm: real mode, virtual-8086 tasks and task switches, for stepping
; beside QEMU. 16-bit code runs where it lies, in the segment FFFF.

        bits    32
        org     0x100000

STACK0  equ     0x180000
STACK3  equ     0x183000
STACK_T equ     0x184000
PARAGRAPH equ   0xFFFF
%define IP(label) ((label) - 0xFFFF0)

%include "attempts.inc"

; Run 16-bit code at %1 as a virtual-8086 task with EFLAGS %2.
%macro VIRTUAL 2
        TRY
        push    dword 0x1000            ; GS
        push    dword 0x2000
        push    dword 0x1800            ; DS
        push    dword 0x1900
        push    dword 0x1A00            ; SS
        push    dword 0x0FF0
        push    dword %2 | 0x20002
        push    dword PARAGRAPH
        push    dword IP(%1)
        iretd
        CAUGHT
%endmacro
%macro VIRTUAL_EVERY_IOPL 1
        VIRTUAL %1, 0
        VIRTUAL %1, 0x3000
        VIRTUAL %1, 0x3200
%endmacro

start:
        mov     esp, STACK0
        OWN_TABLES code0, data0
        mov     fs, ax
        mov     gs, ax
        mov     ax, main_task
        ltr     ax

        ; virtual-8086 mode
        VIRTUAL_EVERY_IOPL v_moves
        VIRTUAL_EVERY_IOPL v_flags
        VIRTUAL_EVERY_IOPL v_iret
        VIRTUAL_EVERY_IOPL v_cli
        VIRTUAL_EVERY_IOPL v_int
        VIRTUAL_EVERY_IOPL v_int3
        VIRTUAL_EVERY_IOPL v_port
        VIRTUAL_EVERY_IOPL v_port_allowed
        VIRTUAL_EVERY_IOPL v_protected
        VIRTUAL_EVERY_IOPL v_privileged
        VIRTUAL_EVERY_IOPL v_conforming
        VIRTUAL_EVERY_IOPL v_ring_3_gate
        VIRTUAL_EVERY_IOPL v_narrow_gate

        ; 16-bit code in rings 0 and 3, through 16-bit gates
%macro NARROW 3                         ; entry, CS, SS
        TRY
        push    dword %3
        push    dword 0x7800
        push    dword 2
        push    dword %2
        push    dword IP(%1)
        iretd
        CAUGHT
%endmacro
        NARROW  n_call, code16_3, data16_3
        NARROW  n_int, code16_3, data16_3
        NARROW  n_wide_int, code16_3, data16_3
        NARROW  n_wide_call, code16_3, data16_3
        NARROW  n_stack, code16_3, data16_3
        TRY
        jmp     code16:IP(n_int)
        CAUGHT
        TRY
        jmp     code16:IP(n_call_same)
        CAUGHT

        ; task switches
        mov     eax, 0x11111111
        call    other_task:0
        mov     ecx, [other_tss + 0x20]
        mov     edx, [other_tss]
        mov     ebx, [main_tss + 0x24]
        call    other_task:0
        mov     ecx, [other_tss + 0x20]
        int     0x90                    ; through a task gate
        TRY
        call    task_gate:0
        CAUGHT
        jmp     jumping_task:0
        mov     ebx, [gdt + main_task + 4]
        mov     edx, [gdt + jumping_task + 4]
        call    narrow_task:0           ; a 16-bit TSS
        movzx   ecx, word [narrow_tss + 0x0E]
        call    virtual_task:0          ; to virtual-8086 mode and back
        TRY
        call    main_task:0             ; busy
        CAUGHT
        TRY
        call    short_task:0            ; too small
        CAUGHT
        call    mend
        TRY
        jmp     absent_task:0
        CAUGHT
        call    mend
        ; a user's task with an error code
        call    user_task:0
        ; what is wrong is found in the other task
%macro BROKEN 3                         ; offset in the TSS, value, right value
        mov     dword [broken_tss + 0x20], broken_entry
        mov     dword [broken_tss + %1], %2
        TRY
        call    broken_task:0
        CAUGHT
        call    mend
        mov     dword [broken_tss + %1], %3
%endmacro
        BROKEN  0x4C, 0, code0          ; CS null
        BROKEN  0x4C, data0, code0
        BROKEN  0x4C, code3, code0
        BROKEN  0x4C, 0x7F8, code0
        BROKEN  0x54, 0x7F8, data0      ; DS
        BROKEN  0x54, main_task, data0
        BROKEN  0x48, execute_only, data0
        BROKEN  0x60, data0, 0          ; LDT
        BROKEN  0x60, 0x7F8, 0
        BROKEN  0, 0, 0                 ; nothing
        ; back through a link that is none
        TRY
        pushfd
        or      dword [esp], 0x4000
        popfd
        mov     dword [main_tss], 0
        iretd
        CAUGHT
        call    mend
        TRY
        pushfd
        or      dword [esp], 0x4000
        popfd
        mov     dword [main_tss], data0
        iretd
        CAUGHT
        call    mend

        ; real mode
        jmp     code16:IP(to_real)

mend:   ; back in the main task, whatever happened
        and     byte [gdt + main_task + 5], ~2
        and     byte [gdt + broken_task + 5], ~2
        and     byte [gdt + fault_task + 5], ~2
        mov     dword [fault_tss + 0x20], fault_entry
        mov     dword [fault_tss + 0x38], 0x189000
        mov     eax, main_task
        ltr     ax
        pushfd
        pop     eax
        ret

other_entry:
        mov     ebx, esp
        mov     esi, cr0
        clts
        mov     ecx, cs
        str     edx
        pushfd
        pop     edi
        iretd
        inc     eax
        jmp     other_entry
gate_entry:
        mov     eax, [esp]
        iretd
        jmp     gate_entry
jumping_entry:
        str     eax
        pushfd
        pop     ebx
        jmp     main_task:0
        jmp     jumping_entry
fault_entry:                            ; #TS, #NP and #SS come here: a stack may be what is wrong
        mov     eax, [esp]
        mov     edx, [fault_tss]
        str     ebx
        jmp     handler
broken_entry:
        iretd
        jmp     broken_entry
user_entry:
        str     ecx
        mov     eax, 0
        hlt                             ; #GP through a task gate would nest
        jmp     user_entry

        bits    16
narrow_entry:
        mov     ax, sp
        str     bx
        pushf
        pop     cx
        iret
        jmp     narrow_entry
virtual_entry:
        mov     ax, cs
        mov     bx, ds
        mov     cx, 5
        int     0x80
v_moves:
        mov     ax, 0x1234
        mov     ds, ax
        mov     es, [cs:IP(far_word)]
        push    ds
        pop     fs
        lds     bx, [cs:IP(far_word)]
        mov     cx, 3
        cld
        mov     di, 0x10
        rep     stosw
        push    eax
        pusha
        popa
        call    PARAGRAPH:IP(.sub)
        call    .near
        hlt                             ; #GP
.near:  ret
.sub:   mov     dx, cs
        retf
v_flags:
        pushf
        pop     ax
        or      ax, 0x7ED5
        push    ax
        popf
        pushfd
        pop     eax
        push    dword 0x243ED7
        popfd
        int     0x80
v_iret: pushf
        push    cs
        push    word IP(.here)
        iret
.here:  pushfd
        push    dword PARAGRAPH
        push    dword IP(.there)
        iretd
.there: int     0x80
v_cli:  cli
        sti
        nop
        int     0x80
v_int:  int     0x80
v_int3: int3
v_port: in      al, 0x61
        int     0x80
v_port_allowed:
        in      al, 0x21
        int     0x80
v_protected:
        lar     ax, bx
v_privileged:
        mov     eax, cr0
v_conforming:
        int     0x91
        int     0x80
v_ring_3_gate:
        int     0x92
        int     0x80

v_narrow_gate:
        int     0x93
        int     0x80
n_call: push    word 0x1111
        push    word 0x2222
        call    narrow_gate:0
        int     0x80
n_call_same:
        call    narrow_gate:0
        int     0x80
n_int:  mov     ax, 5
        int     0x93
        pushf
        pop     bx
        int     0x80
n_wide_int:
        int     0x94
        int     0x80
n_wide_call:
        push    dword 0x33333333
        push    dword 0x44444444
        call    wide_gate:0
        int     0x80
n_stack:
        mov     bp, sp
        enter   4, 2
        leave
        pushad
        popad
        push    es
        pop     fs
        call    .near
        call    dword .near32
        mov     bx, IP(.there)
        jmp     bx
.there: int     0x80
.near:  ret
.near32: o32 ret
narrow_gated:
        mov     ax, cs
        mov     cx, ss
        mov     bp, sp
        mov     dx, [ss:bp + 4]
        retf    4
narrow_gated_same:
        retf
narrow_handler:
        mov     cx, ss
        mov     dx, cs
        pushf
        pop     bx
        iret
        bits    32
wide_handler:
        mov     ecx, esp
        pushfd
        pop     ebx
        iretd
wide_gated:
        mov     edx, [esp + 8]
        retf    8
        bits    16

to_real:
        mov     ax, data16
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
        mov     eax, cr0
        and     al, 0xFE
        mov     cr0, eax
        jmp     PARAGRAPH:IP(.real)
.real:  mov     ax, PARAGRAPH
        mov     ds, ax
        xor     ax, ax
        mov     ss, ax
        mov     sp, 0x7000
        mov     es, ax
        o32 lidt [IP(real_idt_pointer)]
        mov     ax, es
        int     0x21
        pushf
        pop     bx
        push    dword 0x7ED7
        popfd
        pushfd
        pop     ecx
        push    word 2
        popf
        push    fs
        pop     gs
        call    PARAGRAPH:IP(.far)
        call    dword PARAGRAPH:IP(.far32)
        les     di, [IP(far_word)]
        mov     cx, 4
        rep     movsb
        smsw    ax
        sgdt    [IP(scratch)]
        mov     word [IP(real_resume)], IP(.after_ud)
        lldt    ax
.after_ud:
        mov     word [IP(real_resume)], IP(.after_de)
        xor     cl, cl
        div     cl
.after_de:
        ; unreal mode
        lgdt    [IP(gdt_pointer)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        mov     bx, data0
        mov     fs, bx
        and     al, 0xFE
        mov     cr0, eax
        mov     bx, 0x100
        mov     fs, bx
        mov     esi, 0x150000
        mov     dword [fs:esi], 0xCAFE
        mov     edx, [fs:esi]
        ; and back
        or      al, 1
        mov     cr0, eax
        jmp     dword code0:.back
.far:   mov     dx, cs
        retf    2
.far32: mov     bp, sp
        o32 retf
        bits    32
.back:  mov     ax, data0
        mov     ds, ax
        mov     ss, ax
        mov     esp, STACK0
        lidt    [idt_pointer]

        hlt

        bits    16
real_handler:
        push    bp
        mov     bp, sp
        mov     ax, [bp + 2]
        mov     bx, [bp + 6]
        pop     bp
        iret
real_fault:
        mov     ax, [cs:IP(real_resume)]
        mov     bp, sp
        mov     [bp], ax
        iret
        bits    32

; Every vector leads here: forget the frame and go on.
handler:
        mov     ax, data0
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
        mov     esp, STACK0
        push    dword 2
        popfd
        jmp     [resume]
handler_general:                        ; #GP: the user's task goes home
        str     ax
        cmp     ax, user_task
        jne     handler
        mov     eax, [esp]
        pushfd
        or      dword [esp], 0x4000
        popfd
        iretd

        align   8
resume: dd      0
real_resume: dw 0
scratch: dd     0, 0
far_word: dw    0x20, 0x1700

%macro CODE 2                           ; name, access
%1      equ     $ - gdt + (%2 >> 5 & 3)
        dw      0xFFFF, 0
        db      0, %2, 0xCF, 0
%endmacro
%macro TASK 4                           ; name, TSS, last byte, access
%1      equ     $ - gdt
        dw      %3, (%2 - $$ + 0x100000) & 0xFFFF
        db      (%2 - $$ + 0x100000) >> 16, %4, 0, 0
%endmacro

        align   8
gdt:    dd      0, 0
        CODE    code0, 0x9A
        CODE    data0, 0x93
        CODE    code3, 0xFA
        CODE    data3, 0xF3
        CODE    execute_only, 0xF9
        CODE    conforming0, 0x9E
code16  equ     $ - gdt
        dw      0xFFFF, 0xFFF0
        db      0x0F, 0x9B, 0, 0
data16  equ     $ - gdt
        dw      0xFFFF, 0
        db      0, 0x93, 0, 0
code16_3 equ    $ - gdt + 3
        dw      0xFFFF, 0xFFF0
        db      0x0F, 0xFB, 0, 0
data16_3 equ    $ - gdt + 3
        dw      0xFFFF, 0
        db      0, 0xF3, 0, 0
narrow_gate equ $ - gdt
        dw      IP(narrow_gated), code16
        db      2, 0xE4
        dw      0
wide_gate equ   $ - gdt
        dw      (wide_gated - $$ + 0x100000) & 0xFFFF, code0
        db      2, 0xEC
        dw      (wide_gated - $$ + 0x100000) >> 16
        TASK    main_task, main_tss, main_end - main_tss - 1, 0x89
        TASK    other_task, other_tss, 0x67, 0x89
        TASK    gate_task, gate_tss, 0x67, 0x89
        TASK    jumping_task, jumping_tss, 0x67, 0x89
        TASK    narrow_task, narrow_tss, 0x2B, 0x81
        TASK    virtual_task, virtual_tss, 0x67, 0x89
        TASK    short_task, other_tss, 0x66, 0x89
        TASK    absent_task, other_tss, 0x67, 0x09
        TASK    user_task, user_tss, 0x67, 0x89
        TASK    broken_task, broken_tss, 0x67, 0x89
        TASK    fault_task, fault_tss, 0x67, 0x89
task_gate equ   $ - gdt
        dw      0, other_task
        db      0, 0x85
        dw      0
table_end:
gdt_pointer:
        dw      table_end - gdt - 1
        dd      gdt

%macro TSS 7                            ; entry, EFLAGS, ESP, CS, SS, DS, ES FS GS
        dd      0, STACK_T, data0, 0, 0, 0, 0, 0
        dd      %1, %2, 1, 2, 3, 4, %3, 6, 7, 8
        dd      %7, %4, %5, %6, %7, %7
        dd      0, 0x00670000
%endmacro
        align   8
main_tss:
        dd      0, STACK0 - 0x800, data0
        times   0x66 - ($ - main_tss) db 0
        dw      map - main_tss
map:    db      0xFF, 0xFF, 0xFF, 0xFF, 0xFD, 0xFF, 0xFF, 0xFF, 0xFF
        db      0xFF, 0xFF, 0xFF, 0xFF, 0xFF
main_end:
        align   8
other_tss: TSS  other_entry, 2, 0x185000, code0, data0, data0, 0
gate_tss: TSS   gate_entry, 2, 0x186000, code0, data0, data0, data0
jumping_tss: TSS jumping_entry, 0x8D7, 0x187000, code0, data0, data0, data0
virtual_tss: TSS IP(virtual_entry), 0x23002, 0x800, PARAGRAPH, 0x1A00, 0x1B00, 0x1C00
user_tss: TSS   user_entry, 0x202, STACK3, code3, data3, data3, data3
fault_tss: TSS  fault_entry, 2, 0x189000, code0, data0, data0, data0
broken_tss: TSS broken_entry, 2, 0x188000, code0, data0, data0, data0
narrow_tss:
        dw      0, 0x4000, data16, 0, 0, 0, 0
        dw      IP(narrow_entry), 2, 1, 2, 3, 4, 0x6000, 6, 7, 8
        dw      data16, code16, data16, data16, 0
        align   8

idt:
%rep 10
        GATE    handler, code0, 0x8E
%endrep
%rep 3
        dw      0, fault_task
        db      0, 0x85
        dw      0
%endrep
        GATE    handler_general, code0, 0x8E
%rep 0x80 - 14
        GATE    handler, code0, 0x8E
%endrep
        GATE    handler_from_task, code0, 0xEE          ; 80
%rep 15
        GATE    handler, code0, 0xEE
%endrep
        dw      0, gate_task                            ; 90
        db      0, 0xE5
        dw      0
        GATE    handler, conforming0, 0xEE              ; 91
        GATE    handler, code3, 0xEE                    ; 92
        dw      IP(narrow_handler), code16              ; 93
        db      0, 0xE7
        dw      0
        GATE    wide_handler, code0, 0xEF               ; 94
idt_pointer:
        dw      $ - idt - 1
        dd      idt

handler_from_task:                      ; the virtual task goes home
        str     ax
        cmp     ax, virtual_task
        jne     handler
        pushfd
        or      dword [esp], 0x4000
        popfd
        iretd

        align   8
real_idt:
%rep 0x20
        dw      IP(real_fault), PARAGRAPH
%endrep
        dw      IP(real_fault), PARAGRAPH
        dw      IP(real_handler), PARAGRAPH             ; 21
real_idt_pointer:
        dw      $ - real_idt - 1
        dd      real_idt
