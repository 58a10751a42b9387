; modes: a disk whose code goes from real mode to protected mode, runs a
; task in virtual-8086 mode under a small monitor there, and comes back.

SECTORS         equ     6
CODE_32         equ     0x08
DATA_32         equ     0x10
CODE_16         equ     0x18
DATA_16         equ     0x20
TASK            equ     0x28
TASK_SEGMENT    equ     0x2000          ; of the virtual-8086 task
TASK_STACK      equ     0x3000
COM1            equ     0x3F8

        bits    16
        org     0x7C00
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ax, 0x0200 | (SECTORS - 1)
        mov     bx, 0x7E00
        mov     cx, 0x0002
        mov     dh, 0
        int     0x13
        jc      $
        jmp     main

%include "say.inc"

        times   510 - ($ - $$) db 0
        dw      0xAA55

main:
        SAY     `real `
        mov     eax, cr0
        and     eax, 1
        call    say_word
        call    say_line

        push    TASK_SEGMENT            ; the task's code goes there
        pop     es
        xor     di, di
        mov     si, task_code
        mov     cx, task_end - task_code
        cld
        rep     movsb
        push    0
        pop     es
        mov     word [0x60 * 4], handler - task_code
        mov     word [0x60 * 4 + 2], TASK_SEGMENT

        cli
        lgdt    [gdt_pointer]
        lidt    [idt_pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     CODE_32:protected

        bits    32
protected:
        mov     eax, DATA_32
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, 0x7000
        mov     esi, text_protected
        call    put_text
        mov     eax, TASK
        ltr     ax
        mov     esi, text_segments
        call    put_text
        mov     eax, cs
        call    put_word
        mov     eax, cs
        lsl     eax, eax
        call    put_dword
        mov     eax, DATA_16
        lsl     eax, eax
        call    put_dword
        str     ax
        call    put_word
        call    put_line

        ; IRET with VM set in the flags: SS:ESP, then ES, DS, FS, GS.
        mov     [monitor_stack], esp
        push    dword 0x4444
        push    dword 0x3333
        push    dword 0x2222
        push    dword 0x1111
        push    dword TASK_STACK
        push    dword 0x0FF0
        push    dword 0x00020002        ; IOPL 0
        push    dword TASK_SEGMENT
        push    dword 0
        iretd

; #GP: the task did what needs the monitor, or somebody something wrong.
;
;       | error | EIP | CS | EFLAGS | ESP | SS | ES | DS | FS | GS |
protection_fault:
        test    dword [esp + 12], 0x20000
        jz      wrong
        pushad                          ; 32 bytes below all that
        mov     eax, DATA_32
        mov     ds, ax
        mov     es, ax
        movzx   ebx, word [esp + 40]    ; CS
        shl     ebx, 4
        add     ebx, [esp + 36]         ; EIP
        mov     esi, text_trap
        call    put_text
        movzx   eax, word [ebx]
        call    put_word
        mov     eax, [esp + 44]
        and     eax, ~0x10000           ; RF, which not every CPU pushes
        call    put_dword
        mov     eax, [esp + 52]         ; SS
        call    put_word
        mov     eax, [esp + 60]         ; DS
        call    put_word
        mov     eax, ds
        call    put_word
        call    put_line
        mov     al, [ebx]
        cmp     al, 0xF4                ; HLT: it is done
        je      .leave
        cmp     al, 0xCD                ; INT n: to its own vector
        je      .reflect
        cmp     al, 0x9C                ; PUSHF: pretend that IF is set
        je      .flags
        inc     dword [esp + 36]        ; CLI, STI, IN, OUT: skip
        jmp     .resume
.flags: inc     dword [esp + 36]
        mov     eax, [esp + 44]
        or      eax, 0x200
        call    push_word
        jmp     .resume
.reflect:
        movzx   edi, byte [ebx + 1]
        add     dword [esp + 36], 2
        mov     eax, [esp + 44]
        call    push_word
        mov     eax, [esp + 40]
        call    push_word
        mov     eax, [esp + 36]
        call    push_word
        movzx   eax, word [edi * 4]
        mov     [esp + 36], eax
        movzx   eax, word [edi * 4 + 2]
        mov     [esp + 40], eax
.resume:
        popad
        add     esp, 4
        iretd
.leave: mov     esp, [monitor_stack]
        jmp     back

; Push AX on the task's stack. (Above the return address: PUSHAD.)
push_word:
        sub     word [esp + 52], 2      ; SP
        movzx   ecx, word [esp + 56]    ; SS
        shl     ecx, 4
        movzx   edx, word [esp + 52]
        mov     [ecx + edx], ax
        ret

wrong:  mov     esi, text_wrong
        call    put_text
        mov     eax, [esp]
        call    put_word
        mov     eax, [esp + 4]
        call    put_dword
        jmp     finish

; The way back: 16-bit segments first, so that their limits are those of
; real mode, then PE.
back:   mov     esi, text_back
        call    put_text
        call    put_line
        mov     eax, DATA_32
        mov     fs, ax                  ; which stays as large
        jmp     CODE_16:.narrow
        bits    16
.narrow:
        mov     ax, DATA_16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     eax, cr0
        and     al, 0xFE
        mov     cr0, eax
        jmp     0x0000:.real
.real:  xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7000
        lidt    [real_idt]
        sti
        SAY     `real again `
        mov     eax, cr0
        and     eax, 1
        call    say_word
        mov     ebx, 0x00100000
        mov     dword [fs:ebx], "High"
        mov     eax, [fs:ebx]           ; FS still reaches above 1 MB
        call    say_dword
        call    say_line
        SAY     `done`
        call    say_line
        mov     dx, 0x0501
        mov     al, 0
        out     dx, al
        cli
        hlt

        bits    32
finish: mov     dx, 0x0501
        mov     al, 1
        out     dx, al
        cli
        hlt

put_text:
        lodsb
        test    al, al
        jz      put_done
        call    put_character
        jmp     put_text
put_line:
        mov     al, 13
        call    put_character
        mov     al, 10
put_character:
        push    edx
        mov     dx, COM1
        out     dx, al
        pop     edx
put_done:
        ret
put_word:
        mov     ecx, 4
        shl     eax, 16
        jmp     put_digits
put_dword:
        mov     ecx, 8
put_digits:
        push    edi
        mov     edi, eax
.digit: rol     edi, 4
        mov     eax, edi
        and     eax, 15
        mov     al, [hexadecimal + eax]
        call    put_character
        loop    .digit
        pop     edi
        mov     al, ' '
        jmp     put_character

; The task, in virtual-8086 mode at 2000:0000.
        bits    16
task_code:
        mov     ax, 0x5555
        cli                             ; each of these traps
        sti
        pushf
        pop     bx
        mov     dx, COM1                ; the I/O map lets this port through
        mov     al, 'v'
        out     dx, al
        mov     al, 10
        out     dx, al
        in      al, 0x60                ; and not this one
        push    cs
        pop     ds
        mov     word [0x0100], bx
        mov     ax, ds
        mov     es, ax
        xor     di, di
        mov     si, 0x0100
        int     0x60
        hlt

; Its handler of INT 60h. IRET would trap, and a far return does not.
handler:
        mov     dx, COM1
        mov     al, 'h'
        out     dx, al
        mov     al, 10
        out     dx, al
        pop     bx
        pop     cx
        pop     ax                      ; what IRET would take
        push    cx
        push    bx
        retf
task_end:

text_protected: db      "protected", 13, 10, 0
text_segments:  db      "segments ", 0
text_trap:      db      "trap ", 0
text_wrong:     db      "wrong ", 0
text_back:      db      "back", 0
hexadecimal:    db      "0123456789ABCDEF"

        align   8
gdt:    dq      0
        dw      0xFFFF, 0, 0x9A00, 0x00CF
        dw      0xFFFF, 0, 0x9200, 0x00CF
        dw      0xFFFF, 0, 0x9A00, 0x0000
        dw      0xFFFF, 0, 0x9200, 0x0000
        dw      tss_end - tss - 1, tss, 0x8900, 0
gdt_pointer:
        dw      $ - gdt - 1
        dd      gdt
idt_pointer:
        dw      14 * 8 - 1
        dd      idt
real_idt:
        dw      0x03FF
        dd      0
        align   8
idt:    times   13 dq 0
        dw      protection_fault, CODE_32, 0x8E00, 0
        align   4
monitor_stack:  dd      0
tss:    dd      0
        dd      0x6800, DATA_32         ; ESP0, SS0
        times   0x66 - ($ - tss) db 0
        dw      io_map - tss
io_map: times   COM1 / 8 db 0xFF
        db      0x00                    ; 3F8h to 3FFh
        db      0xFF
tss_end:

        times   512 * SECTORS - ($ - $$) db 0
