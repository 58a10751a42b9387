; flat_boot.asm: a 64 KB ROM that starts a flat 32-bit guest as vizapp's own
; loader does: ring 0, paging off, interrupts off, at 0x00100000.
; No firmware runs, so a guest sees the devices as they are after reset. With
; -DPCNET a PCI network adapter is put first to where an ISA one would be.

%include "reset.inc"

        FROM_RESET
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

%include "pci.inc"

        RESET_VECTOR
