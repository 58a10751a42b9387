; Asks every device of a PC that a device model has to make, and prints what
; they answer: the same on the machine itself.
%include "abi.inc"

%macro READ 1                           ; a port, to the line
        mov     edx, %1
        in      al, dx
        movzx   eax, al
        call    put_byte
%endmacro
%macro WRITE 2
        mov     edx, %1
        mov     al, %2
        out     dx, al
%endmacro
%macro NAME 1
        jmp     %%over
%%text: db      %1, " ", 0
%%over: SAY     %%text
%endmacro
; Registers from a first to a last one, by an index port and a data port.
%macro FILE 4
        mov     ecx, %3
%%next: mov     edx, %1
        mov     al, cl
        out     dx, al
        mov     edx, %2
        in      al, dx
        movzx   eax, al
        call    put_byte
        inc     ecx
        cmp     ecx, %4
        jbe     %%next
%endmacro

_start: START_KERNEL
        call    console_start

        NAME    "serial"
        FILE    0x3FF, 0x3FF, 0x5A, 0x5C        ; scratch
        READ    0x3F9
        READ    0x3FA
        READ    0x3FB
        READ    0x3FC
        READ    0x3FD
        READ    0x3FE
        WRITE   0x3FB, 0x83
        READ    0x3F8
        READ    0x3F9
        WRITE   0x3FB, 3
        WRITE   0x3F9, 2
        READ    0x3FA
        READ    0x3FA
        WRITE   0x3F9, 0
        WRITE   0x3FC, 0x1F             ; in a loop
        READ    0x3FE
        WRITE   0x3FC, 0x1A
        READ    0x3FE
        READ    0x3FE
        mov     esi, text_loop
        mov     ecx, 5
        mov     edx, 0x3F8
        rep     outsb
        READ    0x3FD
        WRITE   0x3F9, 1
        READ    0x3FA
        WRITE   0x3F9, 0
        mov     edi, buffer
        mov     ecx, 5
        mov     edx, 0x3F8
        rep     insb
        READ    0x3FD
        mov     byte [edi], 0
        WRITE   0x3FC, 0x0B
        READ    0x3FE
        READ    0x3FE
        SAY     buffer
        call    end_line
        mov     esi, text_back + 8      ; downwards
        mov     ecx, 9
        mov     edx, 0x3F8
        std
        rep     outsb
        cld

        NAME    "clock"
        FILE    0x70, 0x71, 0x0B, 0x18
        FILE    0x70, 0x71, 0x2E, 0x31
        WRITE   0x70, 0x40
        WRITE   0x71, 0x77
        READ    0x71
        call    end_line

        NAME    "keyboard"
        READ    0x64
        WRITE   0x64, 0xAA
        READ    0x64
        READ    0x60
        READ    0x64
        WRITE   0x64, 0x20
        READ    0x60
        WRITE   0x64, 0xD0
        READ    0x60
        WRITE   0x64, 0xC0
        READ    0x60
        WRITE   0x60, 0xFF
        READ    0x60
        READ    0x60
        WRITE   0x60, 0xF2
        READ    0x60
        READ    0x60
        READ    0x60
        READ    0x64
        WRITE   0x64, 0x60
        WRITE   0x60, 0x64
        WRITE   0x64, 0x20
        READ    0x60
        READ    0x92
        call    end_line

        NAME    "display"
        FILE    0x3D4, 0x3D5, 13, 15
        FILE    0x3C4, 0x3C5, 0, 4
        FILE    0x3CE, 0x3CF, 5, 8
        READ    0x3CC
        READ    0x3C2
        READ    0x3C6
        call    end_line
        NAME    "colours"
        READ    0x3DA                   ; what it says depends on the time
        mov     dword [line_end], line
        WRITE   0x3C0, 0x06
        READ    0x3C1
        WRITE   0x3C7, 0x2A
        READ    0x3C9
        READ    0x3C9
        READ    0x3C9
        READ    0x3C9
        WRITE   0x3C8, 0x10
        WRITE   0x3C9, 0x11
        WRITE   0x3C9, 0x22
        WRITE   0x3C9, 0x33
        WRITE   0x3C7, 0x10
        READ    0x3C9
        READ    0x3C9
        READ    0x3C9
        READ    0xE9
        READ    0x80
        READ    0x81
        call    end_line

        NAME    "disk"
        WRITE   0x3F6, 2                ; without interrupts
        WRITE   0x1F6, 0xF0             ; a second one
        READ    0x1F7
        WRITE   0x1F6, 0xE0
        WRITE   0x1F7, 0xEC
        call    ready
        mov     edi, buffer
        mov     ecx, 128
        mov     edx, 0x1F0
        rep     insd
        mov     eax, [buffer + 2]       ; geometry, name, size
        call    put_hex
        mov     eax, [buffer + 6]
        call    put_hex
        mov     eax, [buffer + 54]
        call    put_hex
        mov     eax, [buffer + 120]
        call    put_hex
        READ    0x1F7
        call    end_line
        NAME    "sectors"
        mov     bl, 2                   ; sector 2, upwards
        call    sector
        mov     edi, buffer
        mov     ecx, 256
        mov     edx, 0x1F0
        rep     insw
        mov     byte [buffer + 31], 0
        SAY     buffer + 16
        mov     bl, 3                   ; sector 3, downwards
        call    sector
        mov     edi, buffer + 508
        mov     ecx, 128
        mov     edx, 0x1F0
        std
        rep     insd
        cld
        mov     eax, [buffer + 508]
        call    put_hex
        mov     bl, 4                   ; and one by one
        call    sector
        mov     edx, 0x1F0
        in      ax, dx
        movzx   eax, ax
        call    put_hex
        in      eax, dx
        call    put_hex
        READ    0x1F7
        WRITE   0x1F5, 0xFF             ; one that is not there
        WRITE   0x1F7, 0x20
        call    ready
        READ    0x1F7
        READ    0x1F1
        WRITE   0x3F6, 6                ; reset
        WRITE   0x3F6, 2
        call    ready
        READ    0x1F1
        READ    0x1F2
        READ    0x1F3
        READ    0x1F4
        READ    0x1F5
        READ    0x3F6
        call    end_line
        call    print_result
        SHUT_DOWN

; Ask for sector BL.
sector: WRITE   0x1F2, 1
        WRITE   0x1F3, bl
        WRITE   0x1F4, 0
        WRITE   0x1F5, 0
        WRITE   0x1F7, 0x20
ready:  mov     edx, 0x3F6
.busy:  in      al, dx
        test    al, 0x80
        jnz     .busy
        ret

; Add AL to the line as two digits and a space.
put_byte:
        pushad
        mov     edi, [line_end]
        mov     edx, eax
        shr     eax, 4
        mov     al, [hexadecimal + eax]
        stosb
        and     edx, 15
        mov     al, [hexadecimal + edx]
        stosb
        mov     al, " "
        stosb
        mov     [line_end], edi
        popad
        ret

text_loop:      db      "loop!"
text_back:      db      10, "drawkcab"
        TRAPS
        END_TRAPS
%include "support.inc"
        align   4
buffer: times   1024 db 0
        align   PAGE
image_end:
