; gates.asm: every way through a gate and every way to be refused, for
; stepping beside QEMU. A refused attempt goes on at the next CAUGHT, in
; ring 0, whatever the handler found; the stepper compares what it found.

        bits    32
        org     0x100000

STACK0  equ     0x180000
STACK1  equ     0x181000
STACK2  equ     0x182000
STACK3  equ     0x183000

%include "attempts.inc"

; Run the code at %1 in ring %2; it ends with INT 0x80 or a fault.
%macro IN_RING 2
        TRY
%if %2 == 0
        jmp     %1
%else
        mov     ax, data3               ; survives the way out; QEMU does not
        mov     ds, ax                  ; refuse the use of a null segment
        push    dword data%2
        push    dword STACK%2
        push    dword [ring_flags]
        push    dword code%2
        push    dword %1
        iretd
%endif
        CAUGHT
%endmacro
%macro IN_EVERY_RING 1
        IN_RING %1, 0
        IN_RING %1, 1
        IN_RING %1, 2
        IN_RING %1, 3
%endmacro

start:
        mov     esp, STACK0
        OWN_TABLES code0, data0
        mov     ax, task
        ltr     ax
        mov     ax, local
        lldt    ax

        ; what each descriptor tells in each ring
        IN_EVERY_RING inspect
        ; loading each selector into DS, SS, through far jumps, calls and returns
        mov     ebx, 0
each_selector:
        mov     [tried], ebx
        IN_EVERY_RING load_ds
        IN_EVERY_RING load_ss
        IN_EVERY_RING pop_gs
        IN_EVERY_RING load_far
        IN_EVERY_RING jump_far
        IN_EVERY_RING call_far
        IN_EVERY_RING return_far
        IN_EVERY_RING return_from_interrupt
        IN_EVERY_RING inspect
        mov     ebx, [tried]
        add     ebx, 4
        cmp     ebx, table_end - gdt + 16
        jb      each_selector

        ; gates of the IDT
        mov     dword [ring_flags], 2
%assign vector 0x81
%rep 14
        IN_RING interrupt_ %+ vector, 0
        IN_RING interrupt_ %+ vector, 1
        IN_RING interrupt_ %+ vector, 3
%assign vector vector + 1
%endrep

        ; inner stacks that are no stacks
        mov     ebx, 0
each_stack:
        mov     [tried], ebx
        mov     [tss + 16], ebx
        IN_RING to_ring_1, 3
        mov     ebx, [tried]
        inc     ebx
        cmp     ebx, table_end - gdt + 8
        jb      each_stack
        mov     dword [tss + 16], data1

        ; flags at every IOPL
%assign iopl 0
%rep 4
        mov     dword [ring_flags], 0x3002 & (iopl << 12 | 2)
        IN_EVERY_RING flags
        IN_EVERY_RING flags_back
        IN_EVERY_RING disable
        IN_EVERY_RING ports
        IN_EVERY_RING port_allowed
%assign iopl iopl + 1
%endrep
        mov     dword [ring_flags], 2
        IN_EVERY_RING privileged_cr0
        IN_EVERY_RING privileged_hlt_lgdt
        IN_EVERY_RING privileged_msr
        IN_EVERY_RING raise_rpl
        IN_EVERY_RING tell
        hlt

inspect:
        mov     ecx, [tried]
        lar     eax, ecx
        lar     ax, cx
        lsl     edx, ecx
        verr    cx
        verw    cx
        or      ecx, 3
        lar     eax, ecx
        lsl     edx, ecx
        verr    cx
        verw    cx
        int     0x80
load_ds:
        mov     eax, [tried]
        mov     ds, ax
        int     0x80
load_ss:
        mov     eax, [tried]
        mov     ss, ax
        nop
        int     0x80
pop_gs:
        push    dword [tried]
        pop     gs
        int     0x80
load_far:
        mov     eax, [tried]
        mov     [far_pointer + 4], ax
        lfs     edx, [far_pointer]
        int     0x80
jump_far:
        mov     eax, [tried]
        mov     [far_pointer + 4], ax
        mov     dword [far_pointer], landed
        jmp     far [far_pointer]
call_far:
        push    dword 0x11111111
        push    dword 0x22222222
        mov     eax, [tried]
        mov     [far_pointer + 4], ax
        mov     dword [far_pointer], landed_by_call
        call    far [far_pointer]
        int     0x80
return_far:
        push    dword data3
        push    dword STACK3 - 64
        push    dword [tried]
        push    dword landed
        retf
return_from_interrupt:
        push    dword data3
        push    dword STACK3 - 64
        push    dword 0x3246
        push    dword [tried]
        push    dword landed
        iretd
landed:
        mov     eax, cs
        int     0x80
landed_by_call:
        mov     eax, cs
        mov     ecx, ss
        test    eax, 3
        retf
gated:
        mov     eax, cs
        mov     ecx, ss
        mov     edx, [esp + 8]
        retf    8

%assign vector 0x81
%rep 14
interrupt_ %+ vector:
        int     vector
        int     0x80
%assign vector vector + 1
%endrep
to_ring_1:
        int     0x82
        int     0x80

flags:
        push    dword 0x3202
        popfd
        pushfd
        pop     eax
        push    word 0x7ED5
        popfw
        push    dword 0x244ED7
        popfd
        push    dword 2
        popfd
        int     0x80
flags_back:
        pushfd
        push    dword 0x3246
        push    dword 0
        mov     [esp], cs
        push    dword landed
        iretd
disable:
        cli
        int     0x80
ports:
        in      al, 0x61
        int     0x80
port_allowed:
        in      al, 0x21
        in      ax, 0x21
        int     0x80
privileged_cr0:
        mov     eax, cr0
        int     0x80
privileged_hlt_lgdt:
        lgdt    [gdt_pointer]
        int     0x80
privileged_msr:
        mov     ecx, 0x174
        rdmsr
        int     0x80
raise_rpl:
        mov     eax, 0x18
        mov     ecx, 0x1B
        arpl    ax, cx
        arpl    cx, ax
        int     0x80
tell:
        sgdt    [scratch]
        sidt    [scratch]
        sldt    eax
        str     ecx
        smsw    edx
        mov     [scratch], ss
        push    cs
        pop     eax
        int     0x80

; Every vector leads here: forget the frame and go on.
handler:
        mov     ax, data0
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, STACK0
        push    dword 2
        popfd
        jmp     [resume]

handler_in_ring_1:
        mov     eax, cs
        iretd
handler_conforming:
        mov     eax, cs
        iretd

        align   8
resume: dd      0
tried:  dd      0
ring_flags: dd  2
far_pointer: dd landed, 0
scratch: dd     0, 0

%macro CODE 2                           ; name, access
%1      equ     $ - gdt + (%2 >> 5 & 3)
        dw      0xFFFF, 0
        db      0, %2, 0xCF, 0
%endmacro
%macro PLAIN 3                          ; access, flags, limit
        dw      %3, 0
        db      0, %1, %2, 0
%endmacro
%macro CALL_GATE 3                      ; selector, access, parameters
        dw      (gated - $$ + 0x100000) & 0xFFFF, %1
        db      %3, %2
        dw      (gated - $$ + 0x100000) >> 16
%endmacro

        align   8
gdt:    dd      0, 0
        CODE    code0, 0x9A
        CODE    data0, 0x92
        CODE    code1, 0xBA
        CODE    data1, 0xB2
        CODE    code2, 0xDA
        CODE    data2, 0xD2
        CODE    code3, 0xFA
        CODE    data3, 0xF2
task    equ     $ - gdt
        dw      tss_end - tss - 1, (tss - $$ + 0x100000) & 0xFFFF
        db      (tss - $$ + 0x100000) >> 16, 0x89, 0, 0
local   equ     $ - gdt
        dw      ldt_end - ldt - 1, (ldt - $$ + 0x100000) & 0xFFFF
        db      (ldt - $$ + 0x100000) >> 16, 0x82, 0, 0
        CODE    conforming0, 0x9E
        CODE    conforming2, 0xDE
        CODE    execute_only, 0xF9      ; QEMU does not mark code accessed
        PLAIN   0xF0, 0xCF, 0xFFFF      ; read-only data, DPL 3
        PLAIN   0x72, 0xCF, 0xFFFF      ; absent data, DPL 3
        PLAIN   0x7A, 0xCF, 0xFFFF      ; absent code, DPL 3
        PLAIN   0x12, 0xCF, 0xFFFF      ; absent data, DPL 0
        CODE    unused, 0xFA
gate0   equ     $ - gdt
        CALL_GATE code0, 0xEC, 2
        CALL_GATE code1, 0xEC, 2
        CALL_GATE code3, 0xEC, 2
        CALL_GATE code0, 0x8C, 2        ; DPL 0
        CALL_GATE code0, 0x6C, 2        ; absent
        CALL_GATE 0, 0xEC, 2
        CALL_GATE data0, 0xEC, 2
        CALL_GATE code2, 0xEC, 0
        PLAIN   0xEB, 0, 0x67           ; a busy TSS, DPL 3
        PLAIN   0x8B, 0, 0x67           ; one of DPL 0
        PLAIN   0x82, 0, 0x67           ; an LDT
        PLAIN   0x8E, 0, 0x67           ; an interrupt gate
        PLAIN   0x80, 0, 0x67           ; reserved
table_end:
gdt_pointer:
        dw      table_end - gdt - 1
        dd      gdt

        align   8
ldt:    dd      0, 0
        CODE    unused_in_ldt, 0xFA
        CODE    unused_data_in_ldt, 0xF2
ldt_end:

        align   8
tss:    dd      0, STACK0, data0, STACK1, data1, STACK2, data2
        times   0x66 - ($ - tss) db 0
        dw      map - tss
map:    db      0xFF, 0xFF, 0xFF, 0xFF, 0xFD, 0xFF, 0xFF, 0xFF, 0xFF
        db      0xFF, 0xFF, 0xFF, 0xFF, 0xFF
tss_end:

        align   8
idt:
%rep 0x80
        GATE    handler, code0, 0x8E
%endrep
        GATE    handler, code0, 0xEE                    ; 80
        GATE    handler, code0, 0x8E                    ; 81: DPL 0
        GATE    handler_in_ring_1, code1, 0xEE          ; 82
        GATE    handler_in_ring_1, code3, 0xEE          ; 83: outwards
        GATE    handler_conforming, conforming0, 0xEF   ; 84: a trap gate, conforming
        GATE    handler, 0, 0xEE                        ; 85
        GATE    handler, data0, 0xEE                    ; 86
        GATE    handler, code0, 0x6E                    ; 87: absent
        GATE    handler, code0, 0xEC                    ; 88: a call gate
        GATE    handler, 0x7C0, 0xEE                    ; 89: beyond the GDT
        GATE    handler, code0, 0xEF                    ; 8A: a trap gate
        GATE    handler_in_ring_1, code2, 0xEE          ; 8B
        GATE    handler, 0x80, 0xEE                     ; 8C: absent code
        GATE    handler, code0, 0x2E                    ; 8D: absent, DPL 1
idt_pointer:
        dw      $ - idt - 1                             ; 8E: beyond the IDT
        dd      idt
