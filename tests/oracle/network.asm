; network.asm: sends frames to itself through a PCnet network adapter and prints
; what the adapter says and leaves in memory, in hexadecimal. The adapter is at
; port 300h; a PCI one is put there first. Started as flat_boot.asm does.

RDP     equ     0x310
RAP     equ     0x312
RINGS   equ     0x00030100
FRAME   equ     0x00031000
BUFFERS equ     0x00032000

        bits    32
        org     0x00100000
start:  mov     esp, 0x00090000
        mov     eax, 0x80001810         ; device 3: the ports,
        mov     ecx, 0x00000301
        call    pci
        mov     eax, 0x80001804         ; and permission to use ports and the bus
        mov     ecx, 0x00000005
        call    pci

        mov     ebx, 'prom'
        call    head
        mov     dx, 0x300
        mov     ecx, 9                  ; the tenth says ISA or PCI
.prom:  in      al, dx
        call    byte_out
        inc     dx
        dec     ecx
        jnz     .prom
        mov     dx, 0x30E
        in      al, dx
        call    byte_out
        inc     dx
        in      al, dx
        call    byte_out

        mov     ebx, 'stop'
        call    head
        mov     dx, 0x314
        in      ax, dx
        mov     ecx, 0
        call    csr_out
        mov     ecx, 1
        mov     eax, block
        call    csr_set
        mov     ecx, 2
        mov     eax, block
        shr     eax, 16
        call    csr_set
        mov     ecx, 3
        mov     eax, 0x1000
        call    csr_set
        mov     ecx, 1
        call    csr_out
        mov     ecx, 2
        call    csr_out
        mov     ecx, 3
        call    csr_out

        mov     ebx, 'init'
        call    head
        call    rings
        mov     ecx, 0
        mov     eax, 0x0041             ; INIT, IENA
        call    csr_set
        mov     ecx, 0
        call    csr_out
        mov     ecx, 12
        call    csr_out
        mov     ecx, 14
        call    csr_out
        mov     ecx, 8
        call    csr_out
        mov     ecx, 15
        call    csr_out
        mov     ecx, 0
        mov     eax, 0x0100             ; IDON is cleared by writing it
        call    csr_set
        mov     ecx, 0
        call    csr_out
        mov     ecx, 0
        mov     eax, 0x0002             ; STRT
        call    csr_set
        mov     ecx, 0
        call    csr_out

        mov     ebx, 'self'
        call    head
        mov     esi, own
        call    send
        call    show
        mov     ebx, 'all '
        call    head
        mov     esi, everyone
        call    send
        call    show
        mov     ebx, 'othr'
        call    head
        mov     esi, stranger
        call    send
        call    show
        mov     ebx, 'grp1'
        call    head
        mov     esi, group
        call    send
        call    show
        mov     ebx, 'grp2'
        call    head
        mov     esi, other_group
        call    send
        call    show
        mov     ebx, 'miss'             ; the fourth buffer is taken, then there is none
        call    head
        mov     esi, own
        call    send
        call    show
        mov     esi, own
        call    send
        call    show
        mov     ebx, 'end '
        call    head
        mov     ecx, 0
        mov     eax, 0x0004
        call    csr_set
        mov     ecx, 0
        call    csr
        and     al, 0xEF                ; without TXON
        call    word_out

        mov     esi, last
.text:  lodsb
        test    al, al
        jz      .end
        call    character
        jmp     .text
.end:   cli
        hlt

%include "pci.inc"

rings:                                  ; four buffers of 128 bytes, one frame
        mov     edi, RINGS
        mov     ebx, BUFFERS
        mov     ecx, 4
.next:  mov     eax, ebx
        or      eax, 0x80000000
        mov     [edi], eax
        mov     dword [edi + 4], 0x0000FF80
        add     edi, 8
        add     ebx, 128
        dec     ecx
        jnz     .next
        ret

send:                                   ; a frame to the address at ESI
        mov     edi, FRAME
        mov     ecx, 6
        cld
        rep     movsb
        mov     esi, own
        mov     ecx, 6
        rep     movsb
        mov     eax, 0x41420008
        mov     ecx, 12
.fill:  mov     [edi], eax
        add     eax, 0x01010101
        add     edi, 4
        dec     ecx
        jnz     .fill
        mov     dword [transmit + 4], 0x0000FFC4
        mov     dword [transmit], 0x83000000 + FRAME
        mov     ecx, 0
        mov     eax, 0x0048             ; TDMD
        call    csr_set
        mov     ebp, 100000
.wait:  mov     ecx, 0
        call    csr
        test    ah, 0x02
        jnz     .sent
        dec     ebp
        jnz     .wait
.sent:  ret

show:                                   ; CSR0, which is then cleared, and all descriptors
        mov     ecx, 0
        call    csr
        and     al, 0xF7                ; without TDMD
        push    eax
        call    word_out
        pop     eax
        and     eax, 0x7F00
        or      eax, 0x0040
        mov     ecx, 0
        call    csr_set
        mov     eax, [transmit]
        call    long_out
        mov     esi, RINGS
        mov     ecx, 4
.next:  mov     eax, [esi]
        shr     eax, 16
        call    word_out
        mov     eax, [esi + 4]
        shr     eax, 16
        call    word_out
        add     esi, 8
        dec     ecx
        jnz     .next
        mov     eax, [BUFFERS + 56]     ; the end of the first frame
        jmp     long_out

csr:                                    ; the register ECX
        mov     dx, RAP
        mov     eax, ecx
        out     dx, ax
        mov     dx, RDP
        xor     eax, eax
        in      ax, dx
        ret

csr_out:
        call    csr
        jmp     word_out

csr_set:                                ; AX into the register ECX
        push    eax
        mov     dx, RAP
        mov     eax, ecx
        out     dx, ax
        pop     eax
        mov     dx, RDP
        out     dx, ax
        ret

%include "heading.inc"

own:    db      0x00, 0x0C, 0x29, 0x00, 0x00, 0x01
everyone:
        db      0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF
stranger:
        db      0x00, 0x0C, 0x29, 0x00, 0x00, 0x02
group:  db      0x01, 0x00, 0x5E, 0x00, 0x00, 0x01
other_group:
        db      0x01, 0x00, 0x5E, 0x00, 0x00, 0x02
last:   db      10, "result: done", 10, 0
        align   8
transmit:
        dd      0, 0
block:  dw      0x0004                  ; loopback
        db      0x00, 0x0C, 0x29, 0x00, 0x00, 0x01
        dd      0xFFFFFFFF, 0x00000000  ; the filter: values 0 to 31 of the check sequence
        dd      RINGS + 0x40000000
        dd      transmit
