; devices.asm: asks the devices of a PC and prints what they answer, in hexadecimal.
; Started as flat_boot.asm does: flat, ring 0, interrupts off. A disk of 3024
; sectors is attached, each beginning with its number.

        bits    32
        org     0x00100000
start:  mov     esp, 0x00090000

; ---- CMOS: memory sizes and register D
        mov     ebx, 'cmos'
        call    head
        mov     esi, cmos_registers
.sizes: lodsb
        test    al, al
        jz      clock
        call    cmos
        call    byte_out
        jmp     .sizes

; ---- the clock: one second before 2000
clock:  mov     ebx, 'date'
        call    head
        mov     esi, date
        mov     ecx, 10
.set:   lodsw
        xchg    al, ah
        mov     dl, al
        mov     al, ah
        out     0x70, al
        mov     al, dl
        out     0x71, al
        dec     ecx
        jnz     .set
.before:
        mov     al, 0x0A
        call    cmos
        test    al, 0x80
        jz      .before
.during:
        mov     al, 0x0A
        call    cmos
        test    al, 0x80
        jnz     .during
        mov     esi, date_registers
.show:  lodsb
        cmp     al, 0xFF
        je      .modes
        call    cmos
        call    byte_out
        jmp     .show
.modes: mov     eax, 0x000B             ; twelve hours, BCD
        call    set_cmos
        mov     al, 4
        call    cmos
        call    byte_out
        mov     eax, 0x040B             ; twelve hours, binary
        call    set_cmos
        mov     al, 4
        call    cmos
        call    byte_out
        mov     eax, 0x060B             ; 24 hours, binary
        call    set_cmos
        mov     al, 4
        call    cmos
        call    byte_out
        mov     al, 0x0C                ; an update has ended; the flag goes with reading
        call    cmos
        and     al, 0x10
        call    byte_out
        mov     al, 0x0C
        call    cmos
        and     al, 0x10
        call    byte_out

; ---- the keyboard controller and its keyboard
        mov     ebx, 'kbd '
        call    head
        mov     esi, controller_commands
.ask:   lodsb
        cmp     al, 0xFF
        je      .untranslated
        out     0x64, al
        call    answer
        jmp     .ask
.untranslated:
        mov     al, 0x60
        out     0x64, al
        mov     al, 0x04
        out     0x60, al
        mov     esi, keyboard_commands
.tell:  lodsb
        cmp     al, 0x99
        je      .translated
        out     0x60, al
        call    answers
        jmp     .tell
.translated:
        mov     al, 0x60
        out     0x64, al
        mov     al, 0x44
        out     0x60, al
        mov     al, 0xF2
        out     0x60, al
        call    answers
        mov     al, 0xD2                ; as if the keyboard had sent it
        out     0x64, al
        mov     al, 0x5A
        out     0x60, al
        call    answers
        mov     al, 0x20
        out     0x64, al
        call    answer

; ---- address line 20 by the keyboard controller
        mov     ebx, 'a20 '
        call    head
        mov     byte [0x00300500], 0x33
        mov     esi, start              ; this code will be fetched from the first megabyte
        mov     edi, 0x00000000
        mov     ecx, end - start
        cld
        rep     movsb
        mov     byte [0x00200500], 0x22
        mov     al, 0xD1
        out     0x64, al
        mov     al, 0xDD
        out     0x60, al
        mov     bl, [0x00300500]
        mov     al, 0xD1
        out     0x64, al
        mov     al, 0xDF
        out     0x60, al
        mov     al, bl
        call    byte_out
        mov     al, [0x00300500]
        call    byte_out
        in      al, 0x92
        and     al, 1
        call    byte_out

; ---- IDE
        mov     ebx, 'ide '
        call    head
        mov     al, 4                   ; software reset
        mov     dx, 0x3F6
        out     dx, al
        mov     al, 0
        out     dx, al
        call    ready
        mov     dx, 0x1F1
        mov     ecx, 6
.mark:  in      al, dx
        call    byte_out
        inc     dx
        dec     ecx
        jnz     .mark
        mov     ebx, 'id  '
        call    head
        mov     al, 0xEC
        call    command
        call    sector
        mov     esi, identity_words
.word:  lodsb
        cmp     al, 0xFF
        je      .read
        movzx   eax, al
        mov     ax, [0x00030000 + eax * 2]
        call    word_out
        jmp     .word
.read:  mov     ebx, 'read'
        call    head
        mov     edi, 0x0ABC             ; LBA
        mov     ecx, 2
        call    address
        mov     al, 0x20
        call    command
        call    sector
        mov     eax, [0x00030000]
        call    long_out
        call    ready
        call    sector
        mov     eax, [0x00030000]
        call    long_out
        call    ready
        mov     dx, 0x1F6               ; cylinder 1, head 2, sector 3
        mov     al, 0xA2
        out     dx, al
        mov     dx, 0x1F2
        mov     al, 1
        out     dx, al
        inc     dx
        mov     al, 3
        out     dx, al
        inc     dx
        mov     al, 1
        out     dx, al
        inc     dx
        mov     al, 0
        out     dx, al
        mov     al, 0x20
        call    command
        call    sector
        mov     eax, [0x00030000]
        call    long_out
        mov     ebx, 'mult'
        call    head
        mov     ecx, 4
        mov     edi, 0
        call    address
        mov     al, 0xC6
        call    command
        mov     ecx, 6
        mov     edi, 0x0100
        call    address
        mov     al, 0xC4
        call    command
        mov     ebp, 6
.multiple:
        call    sector
        mov     eax, [0x00030000]
        call    long_out
        dec     ebp
        jz      .write
        call    ready
        jmp     .multiple
.write: mov     ebx, 'writ'
        call    head
        mov     ecx, 1
        mov     edi, 0x0200
        call    address
        mov     al, 0x30
        call    command
        mov     dx, 0x1F0
        mov     ecx, 256
        mov     eax, 0xBEEF
.fill:  out     dx, ax
        dec     ecx
        jnz     .fill
        call    ready
        mov     ecx, 1
        mov     edi, 0x0200
        call    address
        mov     al, 0x20
        call    command
        call    sector
        mov     eax, [0x000301FC]
        call    long_out
        mov     ebx, 'erro'
        call    head
        mov     ecx, 1                  ; no such command
        mov     edi, 0
        call    address
        mov     al, 0xA7
        call    command
        call    error
        mov     ecx, 3                  ; no power of two
        call    address
        mov     al, 0xC6
        call    command
        call    error
        mov     ecx, 1                  ; beyond the end
        mov     edi, 0x0FFF
        call    address
        mov     al, 0x20
        call    command
        and     al, 1
        call    byte_out
        mov     ecx, 1
        mov     edi, 5
        call    address
        mov     al, 0x40                ; verify
        call    command
        call    error
        mov     al, 0xE7                ; flush
        call    command
        call    error
        mov     al, 0x10                ; recalibrate
        call    command
        call    error
        mov     al, 0xE5                ; power
        call    command
        mov     dx, 0x1F2
        in      al, dx
        call    byte_out
        mov     al, 0x90                ; diagnostic
        call    command
        mov     dx, 0x1F1
        in      al, dx
        call    byte_out

; ---- local APIC
        mov     ebx, 'apic'
        call    head
        mov     edi, 0xFEE00000
        mov     dword [edi + 0xF0], 0x1FF
        mov     esi, apic_registers
.apic:  lodsw
        movzx   eax, ax
        test    eax, eax
        jz      .own
        mov     eax, [edi + eax]
        call    long_out
        jmp     .apic
.own:   mov     dword [edi + 0x300], 0x00040051 ; to itself: pending, for interrupts are off
        mov     dword [edi + 0x300], 0x00040083
        mov     eax, [edi + 0x220]
        call    long_out
        mov     eax, [edi + 0x240]
        call    long_out
        mov     eax, [edi + 0x300]
        call    long_out
        mov     dword [edi + 0x80], 0x45
        mov     eax, [edi + 0xA0]
        call    long_out
        mov     dword [edi + 0x80], 0
        mov     dword [edi + 0x3E0], 0x0B
        mov     dword [edi + 0x320], 0x10032    ; one shot, masked
        mov     dword [edi + 0x380], 100
.count: cmp     dword [edi + 0x390], 0
        jne     .count
        mov     eax, [edi + 0x210]
        call    long_out
        mov     dword [edi + 0x320], 0x00032    ; one shot
        mov     dword [edi + 0x380], 100
.again: cmp     dword [edi + 0x390], 0
        jne     .again
        mov     eax, [edi + 0x210]
        call    long_out
        mov     eax, [edi + 0x380]
        call    long_out

; ---- I/O APIC
        mov     ebx, 'ioap'
        call    head
        mov     edi, 0xFEC00000
        mov     dword [edi], 1
        mov     eax, [edi + 0x10]
        and     eax, 0x00FF0000
        call    long_out
        mov     dword [edi], 0x16               ; input 3
        mov     eax, [edi + 0x10]
        call    long_out
        mov     dword [edi + 0x10], 0x0001A933
        mov     eax, [edi + 0x10]
        call    long_out
        mov     dword [edi], 0x17
        mov     dword [edi + 0x10], 0x12000000
        mov     eax, [edi + 0x10]
        call    long_out

finish: mov     esi, last
.text:  lodsb
        test    al, al
        jz      .end
        call    character
        jmp     .text
.end:   cli
        hlt

; ---- helpers
cmos:   out     0x70, al
        in      al, 0x71
        ret

set_cmos:                               ; AH into the register AL
        out     0x70, al
        mov     al, ah
        out     0x71, al
        ret

answer: in      al, 0x64                ; one byte from the controller
        test    al, 1
        jz      answer
        in      al, 0x60
        jmp     byte_out

answers:                                ; all that come, given time
        mov     ecx, 2000
.wait:  in      al, 0x64
        test    al, 1
        jnz     .one
        dec     ecx
        jnz     .wait
        mov     al, ','
        jmp     character
.one:   in      al, 0x60
        call    byte_out
        jmp     answers

address:                                ; ECX sectors at LBA EDI
        mov     dx, 0x1F6
        mov     al, 0xE0
        out     dx, al
        mov     dx, 0x1F2
        mov     al, cl
        out     dx, al
        inc     dx
        mov     eax, edi
        out     dx, al
        inc     dx
        mov     al, ah
        out     dx, al
        inc     dx
        mov     al, 0
        out     dx, al
        ret

command:
        mov     dx, 0x1F7
        out     dx, al
ready:  mov     dx, 0x3F6               ; the status once it is not busy, 400 ns later
        in      al, dx
        in      al, dx
        in      al, dx
        in      al, dx
.busy:  in      al, dx
        test    al, 0x80
        jnz     .busy
        and     al, 0xEF                ; without DSC
        jmp     byte_out

sector: mov     dx, 0x1F0
        push    edi
        mov     edi, 0x00030000
        mov     ecx, 256
        cld
        rep     insw
        pop     edi
        ret

error:  mov     dx, 0x1F1
        in      al, dx
        and     al, 0x04                ; aborted
        jmp     byte_out

%include "heading.inc"

cmos_registers:
        db      0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x0D, 0
date:   db      0x0B, 0x82, 0x0A, 0x26, 0, 0x59, 2, 0x59, 4, 0x23, 7, 0x31, 8, 0x12, 9, 0x99
        db      0x32, 0x19
        db      0x0B, 0x02
date_registers:
        db      0, 2, 4, 7, 8, 9, 0x32, 0xFF
controller_commands:
        db      0xAA, 0xAB, 0xA9, 0xFF
keyboard_commands:
        db      0xFF, 0xEE, 0xF2, 0xF3, 0x20, 0xED, 0x07, 0xF0, 0x00, 0xF5, 0xF4, 0xF6, 0x99
identity_words:
        db      1, 3, 6, 54, 55, 56, 57, 58, 60, 61, 0xFF
apic_registers:
        dw      0x20, 0x30, 0x80, 0xD0, 0xE0, 0xF0, 0x320, 0x370, 0x380, 0x390, 0x3E0, 0
last:   db      10, "result: done", 10, 0
end:
