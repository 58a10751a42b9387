; probe.asm: tries one short piece of code after another, each from a state of its own, and tells on port E9h
; what became of the processor. Every vector has a task gate, so whatever the code did to its stack and its
; segments, the exception is taken, and the TSS that it left holds its whole state. probe.py adds the tables
; and the cases to this.

        bits    16
        org     0xF0000

IMAGE_ROM       equ     0xFFE00000      ; of what belongs to RAM at IMAGE
IMAGE           equ     0x1000
IMAGE_BYTES     equ     0xF000
CASES           equ     0x100000
GDT             equ     0x2000
TRIED           equ     0x6000          ; the TSS of the code that is tried
STATE           equ     TRIED + 0x20    ; EIP, EFLAGS, general and segment registers in it
STACKS          equ     0x9100          ; tops of the handlers' stacks, 100h each
DIRECTORY       equ     0xC000
DATA            equ     0x20000
CODE            equ     0x30000
VIRTUAL_CODE    equ     0x50000
WATCH           equ     0xF000
NEXT            equ     0xF004
END             equ     0xF008
FLAT_CODE       equ     0x08
FLAT_DATA       equ     0x10
TRIED_TASK      equ     0x18

start:
        cli
        mov     ax, 0xF000
        mov     ds, ax
        o32 lgdt [first_pointer - 0xF0000]
        mov     eax, 0x11
        mov     cr0, eax
        jmp     dword FLAT_CODE:flat

        bits    32
flat:   mov     ax, FLAT_DATA
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, STACKS
        mov     esi, IMAGE_ROM
        mov     edi, IMAGE
        mov     ecx, IMAGE_BYTES / 4
        cld
        rep movsd
        mov     edi, CASES
        mov     ecx, CASES_BYTES / 4
        rep movsd
        mov     edi, VIRTUAL_CODE
        mov     eax, 0xCCCCCCCC         ; INT3 wherever a jump leads
        mov     ecx, 0x10000 / 4
        rep stosd
        xor     edi, edi                ; real mode's table of interrupts, which a task of the 8086's may use
        mov     eax, VIRTUAL_CODE << 12 | 0x100
.next:  stosd
        inc     eax
        cmp     edi, 0x400
        jb      .next
        lgdt    [gdt_pointer]
        lidt    [idt_pointer]
        mov     eax, DIRECTORY
        mov     cr3, eax
        mov     ax, TRIED_TASK
        ltr     ax
        int     0x20                    ; the handler begins with the first case

; What exception %1 enters; the next one goes on behind IRETD.
%macro ENTRY 1
entry_ %+ %1:
        mov     ebx, %1
        mov     edx, STACKS + %1 * 0x100
        call    tell
        iretd
        jmp     entry_ %+ %1
%endmacro
%assign vector 0
%rep 35
        ENTRY   vector
%assign vector vector + 1
%endrep

; Vector EBX came; the stack began at EDX.
tell:   pop     esi
        or      ecx, -1
        cmp     esp, edx
        je      .no_error
        mov     ecx, [esp]
.no_error:
        mov     esp, edx
        push    esi
        mov     al, '@'
        out     0xE9, al
        mov     eax, ebx
        call    hex
        mov     eax, ecx
        call    hex
        mov     eax, cr2
        call    hex
        mov     esi, STATE
        mov     edi, 16
        call    hexes
        mov     esi, [WATCH]
        mov     edi, 4
        call    hexes
        mov     al, 10
        out     0xE9, al

        mov     esi, [NEXT]
        cmp     esi, [END]
        jae     finish
        mov     edi, STATE
        mov     ecx, 16
        rep movsd
        mov     edi, [esi]              ; where the code is
        mov     ebp, [esi + 4]          ; CR0
        mov     ebx, [esi + 8]          ; CR4
        mov     edx, [esi + 12]         ; the 16 bytes to look at
        add     esi, 16
        mov     ecx, 8
        rep movsd
        mov     word [CODE], 0x20CD     ; INT 20h
        mov     word [VIRTUAL_CODE], 0x20CD
        mov     [NEXT], esi
        mov     [WATCH], edx
        ; What the one before has left near the limits is gone.
        mov     eax, 0x84836241
        lea     edi, [edx - 0x10]
        call    fill
        xor     edi, edi
        call    fill
        mov     edi, DATA - 0x20
        call    fill
        mov     edi, DATA + 0xE0
        call    fill
        mov     edi, DATA + 0xFE0
        call    fill
        mov     edi, DATA + 0xFFC0
        call    fill
        xor     eax, eax
        mov     cr2, eax
        mov     cr4, ebx
        mov     cr0, ebp
        ret

fill:   mov     ecx, 16
        rep stosd
        ret

finish: xchg    bx, bx                  ; Bochs stops here
        cli
        hlt
        jmp     finish

hexes:  lodsd
        call    hex
        dec     edi
        jnz     hexes
        ret

; EAX, its digits as letters from a to p.
hex:    mov     ebp, 8
.next:  rol     eax, 4
        mov     edx, eax
        and     al, 15
        add     al, 'a'
        out     0xE9, al
        mov     eax, edx
        dec     ebp
        jnz     .next
        ret

        align   8
first_gdt:
        dq      0
        dq      0x00CF9A000000FFFF
        dq      0x00CF92000000FFFF
first_pointer:
        dw      23
        dd      first_gdt
gdt_pointer:
        dw      0x3FFF
        dd      GDT
idt_pointer:
        dw      35 * 8 - 1
        dd      IMAGE

        times   0xFFF0 - ($ - $$) db 0xFF
        bits    16
        jmp     0xF000:start - 0xF0000
        times   0x10000 - ($ - $$) db 0xFF
