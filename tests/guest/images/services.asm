; services: a disk that asks every service of the BIOS something and prints
; the answers. The first sector fetches the rest by cylinder, head and
; sector; the rest fetches what lies behind by number.

SECTORS         equ     12              ; of code
MARKED          equ     40              ; a sector that says which it is

        bits    16
        org     0x7C00
        cld
        xor     ax, ax
        mov     ds, ax
        mov     [boot_drive], dl
        mov     ax, 0x0200 | (SECTORS - 1)
        mov     bx, 0x7E00
        mov     cx, 0x0002
        mov     dh, 0
        int     0x13
        jc      failed
        jmp     main
failed: mov     si, text_failed
        call    say
        cli
        hlt
boot_drive:     db      0
text_failed:    db      "cannot read", 0

%include "say.inc"

        times   510 - ($ - $$) db 0
        dw      0xAA55

main:
        SAY     `drive `
        mov     al, [boot_drive]
        call    say_byte
        call    say_line

        SAY     `equipment `
        int     0x11
        and     ax, 0xFFFD              ; with or without a coprocessor
        call    say_word
        SAY     `memory `
        int     0x12
        call    say_word
        mov     ah, 0x88
        int     0x15
        call    say_word
        mov     ax, 0xE801
        int     0x15
        push    bx
        push    ax
        mov     ax, cx
        call    say_word
        mov     ax, dx
        call    say_word
        pop     ax
        call    say_word
        pop     ax
        call    say_word
        call    say_line

        xor     ebx, ebx
.map:   mov     eax, 0xE820
        mov     edx, 0x534D4150
        mov     ecx, 24
        mov     di, buffer
        int     0x15
        jc      .mapped
        push    ebx
        push    ecx
        call    say_dword
        pop     eax
        call    say_dword
        mov     eax, [buffer + 4]
        call    say_dword
        mov     eax, [buffer]
        call    say_dword
        mov     eax, [buffer + 8]
        call    say_dword
        mov     eax, [buffer + 16]
        call    say_dword
        call    say_line
        pop     ebx
        test    ebx, ebx
        jnz     .map
.mapped:

        SAY     `gate `
        mov     ax, 0x2402
        int     0x15
        call    say_word
        mov     ax, 0x2400              ; closed: addresses wrap at 1 MB
        int     0x15
        call    wrapped
        mov     ax, 0x2402
        int     0x15
        call    say_word
        mov     ax, 0x2401
        int     0x15
        call    wrapped
        SAY     `power `
        mov     ax, 0x5300
        xor     bx, bx
        int     0x15
        call    carry
        mov     al, ah
        call    say_byte
        call    say_line

        ; A word of this sector to 1 MB and back.
        SAY     `copied `
        mov     dword [buffer], "Moon"
        mov     dword [buffer + 4], 0
        mov     word [source + 2], buffer
        mov     byte [source + 4], 0
        mov     byte [source + 7 - 2], 0x93
        mov     word [target + 2], 0
        mov     byte [target + 4], 0x20 ; 0x200000
        mov     cx, 2
        mov     si, table
        mov     ah, 0x87
        int     0x15
        call    carry
        mov     word [source + 2], 0
        mov     byte [source + 4], 0x20
        mov     word [target + 2], buffer + 4
        mov     byte [target + 4], 0
        mov     cx, 2
        mov     si, table
        mov     ah, 0x87
        int     0x15
        mov     eax, [buffer + 4]
        call    say_dword
        call    say_line

        SAY     `disk `
        mov     ah, 0x08
        mov     dl, [boot_drive]
        int     0x13
        push    0                       ; of a diskette drive ES:DI is a table
        pop     es
        push    dx
        push    cx
        call    carry
        call    say_word
        pop     ax
        call    say_word
        pop     ax
        call    say_word
        mov     ah, 0x15
        mov     dl, [boot_drive]
        int     0x13
        push    dx
        push    cx
        mov     al, ah
        call    say_byte
        pop     ax
        call    say_word
        pop     ax
        call    say_word
        call    say_line

        ; Extensions, for a disk.
        SAY     `extensions `
        mov     ah, 0x41
        mov     bx, 0x55AA
        mov     dl, [boot_drive]
        int     0x13
        call    carry
        jc      .none
        mov     ax, bx
        call    say_word
        mov     ah, 0x42
        mov     si, packet
        mov     dl, [boot_drive]
        int     0x13
        call    carry
        mov     ax, [buffer]
        call    say_word
        mov     ax, [buffer + 512]
        call    say_word
        mov     ah, 0x48
        mov     word [buffer], 26
        mov     si, buffer
        mov     dl, [boot_drive]
        int     0x13
        call    carry
        mov     eax, [buffer + 4]
        call    say_dword
        mov     eax, [buffer + 12]
        call    say_dword
        mov     eax, [buffer + 16]
        call    say_dword
.none:  call    say_line

        ; Write a sector, read it again, and ask for what is not there.
        SAY     `written `
        mov     dword [buffer], "Mars"
        mov     ax, 0x0301
        call    marked_sector
        mov     dword [buffer], 0
        mov     ax, 0x0201
        call    marked_sector
        mov     eax, [buffer]
        call    say_dword
        mov     ax, 0x0201
        mov     bx, buffer
        mov     cx, 0x0000              ; sector 0
        mov     dh, 0
        mov     dl, [boot_drive]
        int     0x13
        call    carry
        call    say_word
        mov     ax, 0x0201
        mov     cx, 0x0001
        mov     dx, 0x00FE              ; no such drive
        int     0x13
        call    carry
        call    say_word
        mov     ah, 0x01
        mov     dl, [boot_drive]
        int     0x13
        mov     al, ah
        call    say_byte
        call    say_line

        ; The clock: its date, and whether ticks go on.
        SAY     `date `
        mov     ah, 0x04
        int     0x1A
        mov     ax, cx
        call    say_word
        mov     ax, dx
        call    say_word
        mov     ah, 0x01
        mov     cx, 0x0018              ; a moment before midnight
        mov     dx, 0x00AF
        int     0x1A
.tick:  hlt
        mov     ah, 0x00
        int     0x1A
        cmp     dx, 0x00AF
        je      .tick
        call    say_byte                ; midnight has passed
        mov     ax, cx
        call    say_word
        mov     ax, dx
        call    say_word
        SAY     `waited `
        mov     ah, 0x86
        xor     cx, cx
        mov     dx, 5000
        int     0x15
        call    carry
        call    say_line

        ; The program's own tick.
        SAY     `hooked `
        mov     word [0x1C * 4], tick
        mov     word [0x1C * 4 + 2], 0
.wait:  hlt
        cmp     byte [ticked], 2
        jb      .wait
        mov     al, [ticked]
        call    say_byte

        ; Keys: one that was stuffed, and none.
        SAY     `key `
        mov     ah, 0x05
        mov     cx, 0x1E61
        int     0x16
        mov     ah, 0x01
        int     0x16
        call    zero
        call    say_word
        mov     ah, 0x00
        int     0x16
        call    say_word
        mov     ah, 0x01
        int     0x16
        call    zero
        mov     ah, 0x02
        int     0x16
        call    say_byte
        call    say_line
        SAY     `type `
.type:  mov     ah, 0x10
        int     0x16
        push    ax
        call    say_word
        pop     ax
        cmp     al, 13
        jne     .type
        call    say_line

        call    draw
        call    show_screen
        SAY     `done`
        call    say_line
        mov     dx, 0x0501              ; a port that ends the run
        mov     al, 0
        out     dx, al
        cli
        hlt

; Read or write the marked sector by AX.
marked_sector:
        mov     bx, buffer
        mov     cx, MARKED + 1
        mov     dh, 0
        mov     dl, [boot_drive]
        test    dl, 0x80
        jnz     .disk
        mov     cx, 0x0105              ; 18 sectors a track, two heads
        mov     dh, 0
.disk:  int     0x13
        ; falls through
; Print the carry flag, or the zero flag, and keep all flags.
carry:
        pushf
        push    ax
        mov     al, '-'
        jnc     .clear
        mov     al, 'c'
.clear: call    say_character
        call    say_space
        pop     ax
        popf
        ret
zero:
        pushf
        push    ax
        mov     al, '-'
        jnz     .clear
        mov     al, 'z'
.clear: call    say_character
        call    say_space
        pop     ax
        popf
        ret

; Print whether FFFF:0510 is 0000:0500.
wrapped:
        mov     ax, 0xFFFF
        mov     es, ax
        mov     word [0x500], 0x1111
        mov     word [es:0x510], 0x2222
        mov     ax, [0x500]
        push    0
        pop     es
        call    say_word
        ret

tick:
        inc     byte [cs:ticked]
        iret

; The screen: colours, cursor, scrolling, strings, pages.
draw:
        mov     ax, 0x0003
        int     0x10
        mov     cx, 30                  ; more lines than there are rows
.line:  mov     ax, 0x0E0D
        int     0x10
        mov     ax, 0x0E0A
        int     0x10
        mov     ax, 0x0E00 | 'a'
        add     al, 30
        sub     al, cl
        int     0x10
        loop    .line
        mov     ax, 0x0602              ; a window up by two
        mov     bh, 0x1F
        mov     cx, 0x0200
        mov     dx, 0x080A
        int     0x10
        mov     ax, 0x0703              ; and one down by three
        mov     bh, 0x2E
        mov     cx, 0x0A00
        mov     dx, 0x120A
        int     0x10
        mov     ah, 0x02
        mov     bh, 0
        mov     dx, 0x0A14
        int     0x10
        mov     ax, 0x0900 | '#'        ; five of them, the cursor stays
        mov     bx, 0x004F
        mov     cx, 5
        int     0x10
        mov     ah, 0x08
        mov     bh, 0
        int     0x10
        push    ax
        mov     ah, 0x03
        int     0x10
        push    dx
        push    cx
        mov     ax, 0x1301
        mov     bx, 0x0017
        mov     cx, string_length
        mov     dx, 0x0C14
        push    bp
        mov     bp, string
        int     0x10
        pop     bp
        mov     ax, 0x1302              ; with its colours, the cursor stays
        mov     bx, 0x0000
        mov     cx, 3
        mov     dx, 0x0E14
        push    bp
        mov     bp, coloured
        int     0x10
        pop     bp
        mov     ah, 0x03
        mov     bh, 0
        int     0x10
        push    dx
        mov     ah, 0x0F
        int     0x10
        push    ax
        mov     ax, 0x0E08              ; backspace, and over it
        int     0x10
        mov     ax, 0x0E00 | '!'
        int     0x10
        pop     ax
        call    serial_word
        pop     ax
        call    serial_word
        pop     ax
        call    serial_word
        pop     ax
        call    serial_word
        pop     ax
        call    serial_word
        ret

; Send every row of the screen to COM1: characters, and the colours of the
; first and of the twenty-first cell.
show_screen:
        mov     ax, 0xB800
        mov     es, ax
        xor     di, di
        mov     cx, 25
.row:   push    cx
        mov     al, [es:di + 1]
        mov     ah, [es:di + 41]
        call    serial_word
        mov     cx, 40
.cell:  mov     al, [es:di]
        call    serial_character
        add     di, 2
        loop    .cell
        add     di, 80
        mov     al, 13
        call    serial_character
        mov     al, 10
        call    serial_character
        pop     cx
        loop    .row
        push    0
        pop     es
        ret

serial_word:
        mov     cx, 4
        mov     bx, ax
.digit: rol     bx, 4
        mov     al, bl
        and     al, 15
        add     al, '0'
        cmp     al, '9'
        jbe     .decimal
        add     al, 'A' - '0' - 10
.decimal:
        call    serial_character
        loop    .digit
        mov     al, ' '
serial_character:
        push    dx
        xor     dx, dx
        mov     ah, 0x01
        int     0x14
        pop     dx
        ret

string:         db      "Hello, screen", 13, 10, "below"
string_length   equ     $ - string
coloured:       db      "R", 0x04, "G", 0x02, "B", 0x01
ticked:         db      0
        align   8
packet: db      16, 0
        dw      2, buffer, 0
        dq      MARKED
table:  dq      0, 0
source: dw      0xFFFF
        db      0, 0, 0, 0x93
        dw      0
target: dw      0xFFFF
        db      0, 0, 0, 0x93
        dw      0
        dq      0, 0

        times   512 * SECTORS - ($ - $$) db 0
        times   512 * MARKED - ($ - $$) db 0
        dw      MARKED
        times   512 * (MARKED + 1) - ($ - $$) db 0
        dw      MARKED + 1
        times   512 * (MARKED + 2) - ($ - $$) db 0

buffer          equ     0x6000
