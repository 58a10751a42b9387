; The customary boot sector: 16-bit code, protected mode, padding to 512 bytes.
        org     0x7c00
        cli
        xor     ax, ax
        mov     ds, ax
        mov     ss, ax
        mov     sp, 0x7c00
        lgdt    [descriptor]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     0x08:protected
        bits    32
protected:
        mov     eax, 0x10
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     esp, 0x90000
        mov     esi, message
        mov     edi, 0xb8000
.next:  lodsb
        test    al, al
        jz      .done
        mov     ah, 0x0f
        stosw
        jmp     .next
.done:  hlt
        jmp     .done
message db      "Hello", 0
        align   8
gdt:    dq      0
        dw      0xffff, 0, 0x9a00, 0x00cf
        dw      0xffff, 0, 0x9200, 0x00cf
descriptor:
        dw      $ - gdt - 1
        dd      gdt
        times   510 - ($ - $$) db 0
        dw      0xaa55
