; kernel: a multiboot kernel: an ELF file made by hand, or (FLAT) one that
; says in its header where it goes. It runs on interrupts of the local
; APIC's timer, reads a disk, and takes keys.

COM1            equ     0x3F8
IDE             equ     0x1F0
APIC            equ     0xFEE00000
CODE            equ     0x08
DATA            equ     0x10
TIMER_VECTOR    equ     0x40
KEY_VECTOR      equ     0x21
SPURIOUS_VECTOR equ     0xFF
BASE            equ     0x00100000

        bits    32
        org     BASE
file:
%ifndef FLAT
        db      0x7F, "ELF", 1, 1, 1    ; 32 bits, little-endian
        times   9 db 0
        dw      2, 3                    ; an executable for the 80386
        dd      1, start, program - file, 0, 0
        dw      52, 32, 1, 0, 0, 0
program:
        dd      1, 0, BASE, BASE        ; load it whole,
        dd      file_end - file, bss_end - file, 7, 4096
%endif

        align   4
header: dd      0x1BADB002
%ifdef FLAT
        dd      0x00010003
        dd      -(0x1BADB002 + 0x00010003)
        dd      header, file, file_end, bss_end, start
%else
        dd      0x00000003              ; whole pages, memory
        dd      -(0x1BADB002 + 0x00000003)
%endif

start:
        cli
        cld
        mov     esp, stack_top
        lgdt    [gdt_pointer]
        jmp     CODE:.segments
.segments:
        mov     ecx, DATA
        mov     ds, ecx
        mov     es, ecx
        mov     ss, ecx
        mov     esi, text_magic
        call    put_text
        call    put_dword
        mov     eax, [ebx]
        and     eax, 0x41               ; memory sizes, memory map
        call    put_dword
        mov     eax, [ebx + 4]
        call    put_dword
        mov     edi, [ebx + 48]         ; the map's first entry
        mov     eax, [edi + 4]
        call    put_dword
        mov     eax, [edi + 20]
        call    put_dword
        mov     eax, [zeroed]
        call    put_dword
        call    put_line

        ; Every vector leads to `unexpected`, but for three.
        mov     edi, idt
        xor     ecx, ecx
.gate:  mov     eax, unexpected
        cmp     ecx, TIMER_VECTOR
        jne     .keys
        mov     eax, timer
.keys:  cmp     ecx, KEY_VECTOR
        jne     .spurious
        mov     eax, key
.spurious:
        cmp     ecx, SPURIOUS_VECTOR
        jne     .put
        mov     eax, spurious
.put:   mov     edx, eax
        and     eax, 0xFFFF
        or      eax, CODE << 16
        stosd
        mov     eax, edx
        and     eax, 0xFFFF0000
        or      eax, 0x8E00
        stosd
        inc     ecx
        cmp     ecx, 256
        jb      .gate
        lidt    [idt_pointer]

        ; 8259s: only the keyboard, at vector 21h.
        mov     al, 0x11
        out     0x20, al
        out     0xA0, al
        mov     al, 0x20
        out     0x21, al
        mov     al, 0x28
        out     0xA1, al
        mov     al, 0x04
        out     0x21, al
        mov     al, 0x02
        out     0xA1, al
        mov     al, 0x01
        out     0x21, al
        out     0xA1, al
        mov     al, 0xFD
        out     0x21, al
        mov     al, 0xFF
        out     0xA1, al

        ; The local APIC: on, the 8259s' interrupts through LINT0, and its
        ; timer every 100 000 of its own ticks.
        mov     esi, text_apic
        call    put_text
        mov     eax, 1
        cpuid
        shr     edx, 9
        and     edx, 1
        mov     eax, edx
        call    put_dword
        mov     dword [APIC + 0x0F0], 0x100 | SPURIOUS_VECTOR
        mov     dword [APIC + 0x350], 0x700
        mov     dword [APIC + 0x3E0], 0x0B      ; divide by 1
        mov     dword [APIC + 0x320], 0x20000 | TIMER_VECTOR
        mov     dword [APIC + 0x380], 100000
        sti
.tick:  hlt
        cmp     dword [ticks], 5
        jb      .tick
        mov     dword [APIC + 0x320], 0x10000   ; masked
        cmp     dword [ticks], 5        ; one more may have come by now
        setae   al
        movzx   eax, al
        call    put_dword
        call    put_line

        ; The disk's first sector and one behind, by PIO.
        mov     esi, text_disk
        call    put_text
        mov     dword [block], 0
        call    read_block
        mov     eax, [buffer + 508]
        call    put_dword
        mov     dword [block], 300
        call    read_block
        mov     eax, [buffer]
        call    put_dword
        call    put_line

        ; Keys, until Enter comes up again.
        mov     al, 0xAE
        out     0x64, al
        in      al, 0x60
        mov     esi, text_keys
        call    put_text
.key:   cli
        cmp     byte [last_key], 0x9C
        je      .typed
        sti
        hlt
        jmp     .key
.typed: mov     esi, keys
        mov     ecx, [key_count]
.show:  lodsb
        movzx   eax, al
        push    ecx
        push    esi
        call    put_dword
        pop     esi
        pop     ecx
        loop    .show
        call    put_line

        mov     esi, text_done
        call    put_text
        mov     dx, 0x0501
        mov     al, 0
        out     dx, al
        cli
        hlt

timer:
        inc     dword [ticks]
        mov     dword [APIC + 0x0B0], 0         ; end of interrupt
spurious:
        iretd

key:
        push    eax
        push    ebx
        in      al, 0x60
        movzx   eax, al
        mov     [last_key], eax
        mov     ebx, [key_count]
        mov     [keys + ebx], al
        inc     dword [key_count]
        mov     al, 0x20
        out     0x20, al
        pop     ebx
        pop     eax
        iretd

unexpected:
        mov     esi, text_unexpected
        call    put_text
        mov     dx, 0x0501
        mov     al, 1
        out     dx, al
        cli
        hlt

read_block:
        mov     dx, IDE + 6
        mov     al, 0xE0
        out     dx, al
        mov     dx, IDE + 2
        mov     al, 1
        out     dx, al
        inc     dx
        mov     eax, [block]
        out     dx, al
        inc     dx
        shr     eax, 8
        out     dx, al
        inc     dx
        shr     eax, 8
        out     dx, al
        mov     dx, IDE + 7
        mov     al, 0x20
        out     dx, al
.busy:  in      al, dx
        and     al, 0x88
        cmp     al, 0x08
        jne     .busy
        mov     edi, buffer
        mov     ecx, 128
        mov     dx, IDE
        rep     insd
        ret

put_text:
        push    eax
.next:  lodsb
        test    al, al
        jz      .done
        call    put_character
        jmp     .next
.done:  pop     eax
        ret
put_line:
        mov     al, 10
put_character:
        push    edx
        mov     dx, COM1
        out     dx, al
        pop     edx
        ret
put_dword:
        mov     ecx, 8
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

text_magic:     db      "multiboot ", 0
text_apic:      db      "apic ", 0
text_disk:      db      "disk ", 0
text_keys:      db      "type ", 0
text_done:      db      "done", 10, 0
text_unexpected: db     "unexpected interrupt", 10, 0
hexadecimal:    db      "0123456789ABCDEF"

        align   8
gdt:    dq      0
        dw      0xFFFF, 0, 0x9A00, 0x00CF
        dw      0xFFFF, 0, 0x9200, 0x00CF
gdt_pointer:
        dw      $ - gdt - 1
        dd      gdt
idt_pointer:
        dw      256 * 8 - 1
        dd      idt
        align   4
file_end:

; Memory beyond the file, which the loader clears.
idt             equ     file_end
buffer          equ     idt + 256 * 8
keys            equ     buffer + 512
key_count       equ     keys + 64
last_key        equ     key_count + 4
ticks           equ     last_key + 4
block           equ     ticks + 4
zeroed          equ     block + 4
stack_top       equ     zeroed + 4 + 4096
bss_end         equ     stack_top
