; rom: 64 KB that take the BIOS's place. There is nothing below it: no
; stack, no interrupt table, no memory that anybody has set up.

ROM             equ     0xF000
COM1            equ     0x3F8

        bits    16
        org     0
rom:
start:
        cli
        cld
        mov     al, 0x2F
        out     0x80, al                ; where are we? (a POST code)
        mov     ax, cs
        mov     ds, ax
        mov     si, text_hello
        mov     bx, .hello
        jmp     say
.hello:
        ; The ROM is at the top of the address space too: through a segment
        ; with a base there, reached by way of protected mode.
        lgdt    [gdt_pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        mov     cx, 0x08
        mov     ds, cx
        and     al, 0xFE
        mov     cr0, eax
        mov     eax, 0xFFFF0000 + text_hello
        mov     edx, [eax]
        mov     eax, 0xF0000 + text_hello
        cmp     edx, [eax]
        mov     ax, cs
        mov     ds, ax
        mov     si, text_same
        mov     bx, .same
        je      say
        mov     si, text_other
        jmp     say
.same:
        ; Memory works, so there can be a stack, and calls.
        xor     ax, ax
        mov     ss, ax
        mov     sp, 0x0500
        mov     es, ax
        mov     word [es:0x21 * 4], service
        mov     word [es:0x21 * 4 + 2], ROM
        mov     si, text_service
        int     0x21
        mov     si, text_done
        int     0x21
        mov     dx, 0x0501
        mov     al, 0
        out     dx, al
        hlt
        jmp     $ - 1

service:
        mov     bx, .back
        jmp     say
.back:  iret

; Send the text at DS:SI to COM1 and go on at BX: there is no stack.
say:    mov     dx, COM1
.next:  lodsb
        test    al, al
        jz      .done
        out     dx, al
        jmp     .next
.done:  jmp     bx

text_hello:     db      "hello from the ROM", 10, 0
text_same:      db      "the same at the top", 10, 0
text_other:     db      "something else at the top", 10, 0
text_service:   db      "through an interrupt", 10, 0
text_done:      db      "done", 10, 0

        align   8
gdt:    dq      0
        dw      0xFFFF, 0, 0x9200, 0x00CF
gdt_pointer:
        dw      $ - gdt - 1
        dd      0xF0000 + gdt

        times   0xFFF0 - ($ - rom) db 0xFF
        jmp     ROM:start               ; the reset vector
        times   0x10000 - ($ - rom) db 0xFF
