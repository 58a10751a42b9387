; vmx_boot.asm: a 64 KB ROM that copies the 64 KB before it in the address space
; to 00100000 and goes there.

%include "reset.inc"

        FROM_RESET
        mov     esi, 0xFFFE0000
        mov     edi, 0x00100000
        mov     ecx, 0x4000
        cld
        rep     movsd
        in      al, 0x92                ; line A20
        or      al, 2
        out     0x92, al
        jmp     0x08:0x00100000

        RESET_VECTOR
