; flat_boot.asm: a 64 KB ROM that starts a flat 32-bit guest as vizapp's own
; loader does: ring 0, paging off, interrupts off, at 0x00100000.
; No firmware runs, so a guest sees the devices as they are after reset. With
; -DPCNET a PCI network adapter is put first to where an ISA one would be.

        bits    16
        org     0xF0000
rom:
start:
        cli
        o32 lgdt [cs:gdt_pointer - rom]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword 0x08:flat

        bits    32
flat:
        mov     eax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
%ifdef PCNET
        mov     esp, 0x00090000
        mov     eax, 0x80001810         ; device 3: its ports,
        mov     ecx, 0x00000301
        call    pci
        mov     eax, 0x80001804         ; permission to use ports and the bus,
        mov     ecx, 0x00000005
        call    pci
        mov     eax, 0x80000860         ; and its interrupt, one of four that
        mov     ecx, 0x0A0A0A0A         ; the ISA bridge leads to lines: IRQ10
        call    pci
%endif
        jmp     0x08:0x00100000

pci:    mov     dx, 0xCF8
        out     dx, eax
        mov     dx, 0xCFC
        mov     eax, ecx
        out     dx, eax
        ret

        align   8
gdt:    dd      0, 0
        dd      0x0000FFFF, 0x00CF9A00
        dd      0x0000FFFF, 0x00CF9200
gdt_pointer:
        dw      gdt_pointer - gdt - 1
        dd      gdt

        times   0xFFF0 - ($ - rom) db 0
        bits    16
        jmp     0xF000:start - rom      ; the reset vector
        times   0x10000 - ($ - rom) db 0
